"""From when on rows are compact, which saves a third of their bytes; the version before cannot read those."""

COMPACT = "(SELECT since <= clock_timestamp() FROM compact_rows)"  # a scalar for other statements
