"""Log lines in the forms that programs, containers and machines write: from bytes to rows of `LOGS`, each checked; no I/O."""
