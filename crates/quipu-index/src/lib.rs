//! Files to a searchable index: the pipeline, the ledger, the store, the search.
