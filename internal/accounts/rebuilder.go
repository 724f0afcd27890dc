package accounts

// Rebuilder is the account of `pricelake rebuild`. It is none of All: it can
// replace rows, so a server has it for as long as a table is rebuilt.
const Rebuilder = "pricelake_rebuilder"

// ForRebuild is the account that loads a table of a database anew and swaps it.
func ForRebuild(db string) Account {
	give := func(rights, on, why string) Grant { return Grant{Rights: rights, On: on, Why: why} }
	grants := []Grant{
		give("SELECT", db+".*", "The rows that are compared and kept."),
		give("CREATE TABLE", db+".*", "The tables that are filled beside those that are read; CREATE wants it on the database."),
		give("INSERT, ALTER DELETE, DROP TABLE", db+".rebuild_*", "Those alone."),
		give("INSERT", db+".rebuilds", "How far a rebuild is."),
		give("TABLE ENGINE", "MergeTree", "For servers where engines need a grant."),
		give("TABLE ENGINE", "ReplicatedMergeTree", ""),
		give("SELECT", "system.processes", "KILL QUERY looks there; it ends its own INSERTs only."),
	}
	for _, t := range loaded() {
		switch t.table {
		case "instruments_history", "calls_history": // are not rebuilt
		default:
			grants = append(grants, give("INSERT, ALTER DELETE", db+"."+t.table, "REPLACE PARTITION."))
		}
	}
	return Account{Name: Rebuilder, Purpose: "Loads a table anew and replaces its partitions: `pricelake rebuild`. Take it away afterwards.", Grants: grants, Profile: logged()}
}

// RebuilderXML is the file for users.d that adds the account of a rebuild.
func RebuilderXML(database string) ([]byte, error) {
	return render("users.xml", file{}, database, ForRebuild(database))
}

// RebuilderSQL is the same as statements.
func RebuilderSQL(database string) ([]byte, error) {
	return render("accounts.sql", file{"rebuilder.sql", "rebuilder.xml"}, database, ForRebuild(database))
}
