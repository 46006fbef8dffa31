//! Cores for async code: a Rayon pool that Tokio tasks can await.
