//! `keyed`: work with a state for each key: one call at a time for a key, in the source's order, keys beside each
//! other.

use super::exit::{Ask, Exit};
use super::info::Info;
use super::scan::map_one_by_one;
use super::value::Values;
use super::{Core, Work};
use crate::flow::Flow;
use crate::machine::{Kind, Outcome, Quantum};
use crate::weigh::{ByType, Weighing};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Marks a flow whose last stage has a state for each key.
#[derive(Debug)]
pub struct Keyed;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into another with the state of its key, which `init` makes. The states are the user's memory,
    /// not the run's budget.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// quipu_flow::Flow::from_iter(["a", "b", "a"])
    ///     .keyed(|word| *word, |_| 0, |count: &mut usize, word| { *count += 1; (word, *count) })
    ///     .for_each(|(word, count)| assert!(count == 1 || word == "a"))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keyed<K, A, U, G, I, F>(self, key: G, init: I, run: F) -> Flow<U, Keyed>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        A: Send + 'static,
        U: Send + 'static,
        G: Fn(&T) -> K + Send + Sync + 'static,
        I: Fn(&K) -> A + Send + Sync + 'static,
        F: Fn(&mut A, T) -> U + Send + Sync + 'static,
    {
        let (info, key) = (Info::new("keyed"), Arc::new(key));
        let (hasher, hashed) = (RandomState::new(), key.clone());
        let ask: Ask<T> = Arc::new(move |item, _| hasher.hash_one(hashed(item)));
        self.then(Kind::Keyed { grows: true }, info.clone(), Some(ask), ByType, move |exit| {
            let states = Mutex::new(HashMap::new());
            Work::Core(Arc::new(ByKey { states, key, init, run, exit, info, item: PhantomData }))
        })
    }
}

struct ByKey<T, K, A, U, G, I, F> {
    states: Mutex<HashMap<K, A>>,
    key: Arc<G>,
    init: I,
    run: F,
    exit: Exit<U>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, K: Hash + Eq, A, U, G, I, F> ByKey<T, K, A, U, G, I, F> {
    fn states(&self) -> MutexGuard<'_, HashMap<K, A>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A state on loan: it goes back even where the user's function panics.
struct Loan<'a, T, K: Hash + Eq, A, U, G, I, F> {
    from: &'a ByKey<T, K, A, U, G, I, F>,
    state: Option<(K, A)>,
}

impl<T, K: Hash + Eq, A, U, G, I, F> Drop for Loan<'_, T, K, A, U, G, I, F> {
    fn drop(&mut self) {
        self.from.states().extend(self.state.take());
    }
}

impl<T, K, A, U, G, I, F> Core for ByKey<T, K, A, U, G, I, F>
where
    T: Send + 'static,
    K: Hash + Eq + Clone + Send + Sync,
    A: Send,
    U: Send + 'static,
    G: Fn(&T) -> K + Send + Sync,
    I: Fn(&K) -> A + Send + Sync,
    F: Fn(&mut A, T) -> U + Send + Sync,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        map_one_by_one(quantum, &self.info, &self.exit, |item| {
            let key = (self.key)(&item);
            let state = self.states().remove(&key);
            let state = state.unwrap_or_else(|| (self.init)(&key));
            let mut loan = Loan { from: self, state: Some((key, state)) };
            match &mut loan.state {
                Some((_, state)) => Ok((self.run)(state, item)),
                None => unreachable!("just lent"),
            }
        })
    }
}
