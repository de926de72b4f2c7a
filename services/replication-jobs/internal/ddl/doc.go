// Package ddl reads the definition statements of a binlog: which objects they touch, and what remains of them for a selection.
//
// Statements are executed at the target as they were written, so only their heads matter here: the verb and the names. That is
// why a scanner of MySQL's and MariaDB's lexical rules is used and not a complete grammar, which would refuse every column
// option that it has not heard of. What the scanner does not recognise is an error, never a guess.
package ddl
