//! `map_batch`: work that wants many items at once and gives as many back, one to one; behind it they are items again.

use super::{Batch, Stage, Value, Work, open};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::weigh::{ByType, Weighing};
use std::sync::Arc;

/// What a batch function may return: as many outputs as it was given items, or one error for all of them.
pub trait Outputs {
    /// One output.
    type Item;

    /// The outputs, or why there are none.
    ///
    /// # Errors
    /// The function's own.
    fn into_outputs(self) -> Result<Vec<Self::Item>, BoxError>;
}

impl<U> Outputs for Vec<U> {
    type Item = U;

    fn into_outputs(self) -> Result<Vec<U>, BoxError> {
        Ok(self)
    }
}

impl<U, E: Into<BoxError>> Outputs for Result<Vec<U>, E> {
    type Item = U;

    fn into_outputs(self) -> Result<Vec<U>, BoxError> {
        self.map_err(Into::into)
    }
}

/// Marks a flow whose last stage maps batches.
#[derive(Debug)]
pub struct MapsBatch;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Gathers items, oldest first, and turns them into as many others at once; output *n* takes the place of input
    /// *n*. Another number of outputs is an error of the whole batch.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// Flow::from_iter(["a", "bcd", "ef"])
    ///     .map_batch(Batch::weight(4, |text: &&str| text.len()), |texts| {
    ///         texts.into_iter().map(str::to_uppercase).collect::<Vec<_>>()
    ///     })
    ///     .sink(async |text: String| { assert_eq!(text, text.to_uppercase()); Ok::<(), String>(()) })
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_batch<R, F>(self, size: Batch<T>, run: F) -> Flow<R::Item, MapsBatch>
    where
        R: Outputs,
        R::Item: Send + 'static,
        F: Fn(Vec<T>) -> R + Send + Sync + 'static,
    {
        let run = move |values: Vec<Value>| {
            let given = values.len();
            let outputs =
                run(values.into_iter().map(open::<T>).collect()).into_outputs().map_err(ItemError::user)?;
            if outputs.len() != given {
                return Err(ItemError::WrongLength { given, returned: outputs.len() });
            }
            Ok(outputs.into_iter().map(|output| Box::new(output) as Value).collect())
        };
        self.then(Stage::new(Work::MapBatch { size: size.size, run: Arc::new(run) }), ByType)
    }
}
