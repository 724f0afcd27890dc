package servers

// Tool is the command line of one of Apache Kafka's own tools, by its class, such
// as org.apache.kafka.tools.AclCommand.
func (k *Kafka) Tool(class string) []string {
	argv := k.argv()
	return append(argv[:len(argv)-2:len(argv)-2], class) // in place of the broker's class and its file
}
