package embed_test

const parentEnv = "EMBED_TEST_PARENT"

func parentMain() int { return 0 }
