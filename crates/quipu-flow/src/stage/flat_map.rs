//! `flat_map`: one item becomes any number. Each child waits for credit before it is asked for, so a large expansion
//! before a slow sink takes no more memory than a small one.

use super::{Stage, Value, Work, open};
use crate::flow::Flow;
use crate::weigh::{ByType, Weighing};
use std::sync::Arc;

/// A parked expander: the children that it has yet to yield.
pub(crate) type Children = Box<dyn Iterator<Item = Value> + Send>;

/// Marks a flow whose last stage expands its items.
#[derive(Debug)]
pub struct Expanding;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into the items of an iterator. The item itself ends *expanded* after its last child.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = quipu_flow::Flow::from_iter([2u64, 0, 3])
    ///     .flat_map(|count| 0..count)
    ///     .sink(async |_| Ok::<(), String>(()))
    ///     .run().await?;
    /// assert_eq!((report.ends.delivered, report.ends.expanded), (5, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flat_map<I, F>(self, run: F) -> Flow<I::Item, Expanding>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        F: Fn(T) -> I + Send + Sync + 'static,
    {
        let expand = move |value| -> Children {
            Box::new(run(open::<T>(value)).into_iter().map(|child| Box::new(child) as Value))
        };
        self.then(Stage::new(Work::FlatMap(Arc::new(expand))), ByType)
    }
}
