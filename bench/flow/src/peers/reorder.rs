//! The reorder buffer that a design of channels and workers needs at its end.

use std::collections::VecDeque;

/// Takes items in any order and gives them back in the order of their numbers.
pub(crate) struct Reorder<T> {
    next: u64,
    waiting: VecDeque<Option<T>>,
}

impl<T> Reorder<T> {
    pub(crate) fn new() -> Self {
        Self { next: 0, waiting: VecDeque::new() }
    }

    /// Takes item `number`, and hands `deliver` all that is now in order.
    pub(crate) fn take(&mut self, number: u64, item: T, mut deliver: impl FnMut(T)) {
        let place = (number - self.next) as usize;
        if self.waiting.len() <= place {
            self.waiting.resize_with(place + 1, || None);
        }
        self.waiting[place] = Some(item);
        while let Some(Some(_)) = self.waiting.front() {
            self.next += 1;
            if let Some(Some(item)) = self.waiting.pop_front() {
                deliver(item);
            }
        }
    }
}
