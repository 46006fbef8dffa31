//! How values travel: in columns of one type, which the machine can only count and cut.

use crate::machine::{Load, Member};
use std::any::Any;
use std::collections::VecDeque;

/// What a block carries.
pub(crate) enum Values {
    /// The values of its members, in their order.
    Column(Box<dyn Column>),
    /// What a parked expander has yet to yield; or nothing.
    State(Box<dyn Any + Send>),
}

/// A column of values whose type only the stages know.
pub(crate) trait Column: Send {
    fn split_front(&mut self, count: usize) -> Box<dyn Column>;
    fn append(&mut self, younger: Box<dyn Any>);
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Send + 'static> Column for VecDeque<T> {
    fn split_front(&mut self, count: usize) -> Box<dyn Column> {
        let behind = self.split_off(count);
        Box::new(std::mem::replace(self, behind))
    }

    fn append(&mut self, younger: Box<dyn Any>) {
        if let Ok(mut younger) = younger.downcast::<Self>() {
            Self::append(self, &mut younger);
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Load for Values {
    fn split_front(&mut self, count: usize) -> Self {
        match self {
            Self::Column(column) => Self::Column(column.split_front(count)),
            Self::State(_) => unreachable!("what is parked is never cut"),
        }
    }

    fn append(&mut self, younger: Self) {
        match (self, younger) {
            (Self::Column(column), Self::Column(younger)) => column.append(younger.into_any()),
            _ => unreachable!("what is parked is never joined"),
        }
    }
}

impl Values {
    pub(crate) fn of<T: Send + 'static>(column: VecDeque<T>) -> Self {
        Self::Column(Box::new(column))
    }

    pub(crate) fn one<T: Send + 'static>(value: T) -> Self {
        Self::of(VecDeque::from([value]))
    }

    pub(crate) fn nothing() -> Self {
        Self::State(Box::new(()))
    }

    /// The column, whose type the builder has fixed.
    pub(crate) fn column<T: 'static>(self) -> VecDeque<T> {
        match self {
            Self::Column(column) => match column.into_any().downcast::<VecDeque<T>>() {
                Ok(column) => *column,
                Err(_) => mistyped(),
            },
            Self::State(_) => mistyped(),
        }
    }

    /// The only value of a column.
    pub(crate) fn single<T: 'static>(self) -> T {
        self.column::<T>().pop_front().unwrap_or_else(|| mistyped())
    }

    /// The only value of a column, looked at.
    pub(crate) fn peek<T: 'static>(&self) -> Option<&T> {
        match self {
            Self::Column(column) => column.as_any().downcast_ref::<VecDeque<T>>()?.front(),
            Self::State(_) => None,
        }
    }

    /// The state, whose type the stage has fixed.
    pub(crate) fn state<T: 'static>(self) -> T {
        match self {
            Self::State(state) => match state.downcast::<T>() {
                Ok(state) => *state,
                Err(_) => mistyped(),
            },
            Self::Column(_) => mistyped(),
        }
    }
}

fn mistyped() -> ! {
    unreachable!("the builder gives each stage the type that the one before it makes")
}

/// A column under construction, with its members.
pub(crate) struct Made<T> {
    pub(crate) values: VecDeque<T>,
    pub(crate) members: VecDeque<Member>,
}

impl<T: Send + 'static> Made<T> {
    pub(crate) fn with_capacity(items: usize) -> Self {
        Self { values: VecDeque::with_capacity(items), members: VecDeque::with_capacity(items) }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T, member: Member) {
        self.values.push_back(value);
        self.members.push_back(member);
    }
}
