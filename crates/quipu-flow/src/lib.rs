//! A dataflow engine: typed stages on shared cores, bounded memory, exact counts.
