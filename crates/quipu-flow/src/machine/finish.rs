//! What an ending does: tokens move on, are born, end, and give back what they held.

use super::node::NodeKind;
use super::token::{Gone, Made, Member, Receipt, Token, Trace};
use super::{End, Failure, Machine, Position, Source, Verdict};
use std::sync::Arc;
use std::time::Instant;

/// How a birth ended.
pub(crate) enum Birth<V> {
    /// There is an item, and a receipt if its source wants one.
    Item(Made<V>, Option<Arc<Receipt>>),
    /// There was an item, but appraising it failed.
    Failed(Failure),
    /// The source itself broke; nobody can say what it would have yielded, so the run stops.
    Broken(Failure),
    /// The source has no more.
    End,
}

impl<V> Machine<V> {
    pub(crate) fn born(&mut self, birth: Birth<V>, now: Instant) {
        let is_last =
            self.source == Source::Busy { last: true } || matches!(birth, Birth::End | Birth::Broken(_));
        self.source = if is_last { Source::Closed } else { Source::Idle };
        self.nodes[0].running -= 1;
        if matches!(self.nodes[0].kind, NodeKind::Source { external: false }) {
            self.credit.release(1, 0);
        }
        match birth {
            Birth::End => {}
            Birth::Item(made, receipt) => {
                let trace = self.bear(receipt, &made);
                self.enter(1, made, trace, now);
            }
            Birth::Failed(failure) => {
                let trace = self.bear_nothing();
                self.fail(trace, &failure);
            }
            Birth::Broken(failure) => {
                let trace = self.bear_nothing();
                self.fail(trace, &Failure { verdict: Verdict::Stop, ..failure });
            }
        }
    }

    /// The source is gone, and with it a birth that was on its way.
    pub(crate) fn close_source(&mut self, now: Instant) {
        if matches!(self.source, Source::Busy { .. }) {
            self.born(Birth::End, now);
        }
        self.drain();
    }

    /// The token goes on with what its stage has made of it.
    pub(crate) fn forward(&mut self, node: usize, mut trace: Trace, made: Made<V>, now: Instant) {
        self.rest(node, &trace);
        self.move_on(node, &mut trace, &made);
        self.enter(node + 1, made, trace, now);
    }

    /// A batch goes on as the items that it was.
    pub(crate) fn forward_each(&mut self, node: usize, batch: Vec<(Trace, Made<V>)>, now: Instant) {
        self.nodes[node].running -= 1;
        for (mut trace, made) in batch {
            self.rest_member(node, &trace);
            self.move_on(node, &mut trace, &made);
            self.enter(node + 1, made, trace, now);
        }
    }

    /// A batch goes on as one token, which keeps every member's position, credit and acknowledgement.
    pub(crate) fn forward_as_one(&mut self, node: usize, batch: Vec<Trace>, made: Made<V>, now: Instant) {
        self.nodes[node].running -= 1;
        let mut group = Trace { members: Vec::new(), bytes: 0, next_child: None, failures: 0 };
        for trace in batch {
            self.rest_member(node, &trace);
            self.leave(node, &trace);
            group.bytes += trace.bytes;
            group.members.extend(trace.members);
        }
        self.credit.release(0, group.bytes);
        self.credit.charge(0, made.bytes);
        group.bytes = made.bytes;
        self.enter(node + 1, made, group, now);
    }

    /// An expander has its next child; it waits for credit for the one after.
    pub(crate) fn child(&mut self, node: usize, mut trace: Trace, parked: V, made: Made<V>, now: Instant) {
        self.rest(node, &trace);
        self.credit.release(1, 0);
        let number = trace.next_child.unwrap_or(0);
        let child = Trace::of(trace.child(number), made.bytes);
        self.credit.charge(1, made.bytes);
        self.births += 1;
        self.enter(node + 1, made, child, now);
        trace.next_child = Some(number + 1);
        self.park(node, Token { value: parked, trace, measure: 0, reserve: 0, since: now });
    }

    /// An expander has no more children.
    pub(crate) fn expanded(&mut self, node: usize, trace: Trace) {
        self.credit.release(1, 0);
        self.finished(node, trace, End::Expanded);
    }

    pub(crate) fn filtered(&mut self, node: usize, trace: Trace) {
        self.finished(node, trace, End::Filtered);
    }

    pub(crate) fn delivered(&mut self, node: usize, trace: Trace) {
        self.finished(node, trace, End::Delivered);
    }

    /// What ran was discarded unfinished.
    pub(crate) fn cancelled(&mut self, node: usize, trace: Trace) {
        self.unreserve_child(node);
        self.finished(node, trace, End::Cancelled);
    }

    /// An io will be tried again after a while and gives up its slot until then.
    pub(crate) fn back_off(&mut self, node: usize) {
        self.nodes[node].backing_off += 1;
    }

    /// It waits for a slot again.
    pub(crate) fn retry(&mut self, node: usize, token: Token<V>) {
        self.nodes[node].backing_off -= 1;
        self.rest(node, &token.trace);
        self.park(node, token);
    }

    /// A backing-off io was discarded.
    pub(crate) fn retry_cancelled(&mut self, node: usize, trace: Trace) {
        self.nodes[node].backing_off -= 1;
        self.cancelled(node, trace);
    }

    fn bear(&mut self, receipt: Option<Arc<Receipt>>, made: &Made<V>) -> Trace {
        let position = Position::of_birth(self.births_of_source);
        self.births_of_source += 1;
        self.births += 1;
        self.credit.charge(1, made.bytes);
        let receipts = receipt.into_iter().collect();
        Trace::of(Member { position, key: made.key.clone(), receipts }, made.bytes)
    }

    fn bear_nothing(&mut self) -> Trace {
        let position = Position::of_birth(self.births_of_source);
        self.births_of_source += 1;
        self.births += 1;
        self.credit.charge(1, 0);
        Trace::of(Member { position, key: None, receipts: Vec::new() }, 0)
    }

    /// The token's quantum is over; it is still here.
    pub(super) fn rest(&mut self, node: usize, trace: &Trace) {
        self.nodes[node].running -= 1;
        self.rest_member(node, trace);
    }

    pub(super) fn rest_member(&mut self, node: usize, trace: &Trace) {
        self.nodes[node].working -= 1;
        if self.ordered {
            self.nodes[node].open.remove(&trace.position());
        }
    }

    /// The token leaves its node, its charge unchanged.
    pub(super) fn leave(&mut self, node: usize, trace: &Trace) {
        self.nodes[node].population -= 1;
        self.nodes[node].bytes -= trace.bytes;
    }

    fn move_on(&mut self, node: usize, trace: &mut Trace, made: &Made<V>) {
        self.leave(node, trace);
        self.credit.release(0, trace.bytes);
        self.credit.charge(0, made.bytes);
        trace.bytes = made.bytes;
        trace.failures = 0;
    }

    /// Changes what a token is charged while it stays where it is.
    pub(super) fn recharge(&mut self, node: usize, trace: &mut Trace, bytes: u64) {
        self.credit.release(0, trace.bytes);
        self.credit.charge(0, bytes);
        self.nodes[node].bytes -= trace.bytes;
        self.nodes[node].charge(bytes);
        trace.bytes = bytes;
    }

    /// A charged token comes to a node, or to its end if the run is stopping.
    fn enter(&mut self, node: usize, made: Made<V>, mut trace: Trace, now: Instant) {
        trace.rename(made.key);
        if self.is_stopping() {
            self.end(trace, Some(made.value), End::Cancelled);
            return;
        }
        let (measure, reserve) = (made.measure, made.reserve);
        let token = Token { value: made.value, trace, measure, reserve, since: now };
        let here = &mut self.nodes[node];
        here.population += 1;
        here.charge(token.trace.bytes);
        if matches!(here.kind, NodeKind::Gather { .. }) {
            self.clock_is_late |= here.absorb(token, now) && here.deadline().is_some();
        } else {
            here.queue.insert(token.trace.position(), token);
        }
    }

    /// A token goes back to the queue that it came from.
    fn park(&mut self, node: usize, token: Token<V>) {
        if self.is_stopping() {
            self.leave(node, &token.trace);
            self.end(token.trace, Some(token.value), End::Cancelled);
        } else {
            self.nodes[node].queue.insert(token.trace.position(), token);
        }
    }

    fn finished(&mut self, node: usize, trace: Trace, end: End) {
        self.rest(node, &trace);
        self.leave(node, &trace);
        self.end(trace, None, end);
    }

    /// The credit that a child was to have goes back if there will be none.
    pub(super) fn unreserve_child(&mut self, node: usize) {
        if matches!(self.nodes[node].kind, NodeKind::Expand) {
            self.credit.release(1, 0);
        }
    }

    /// Ends a token that has left its node.
    pub(super) fn end(&mut self, trace: Trace, value: Option<V>, end: End) {
        let count = match end {
            End::Delivered => &mut self.ends.delivered,
            End::Filtered => &mut self.ends.filtered,
            End::Skipped => &mut self.ends.skipped,
            End::DeadLettered => &mut self.ends.dead_lettered,
            End::Failed => &mut self.ends.failed,
            End::Expanded => &mut self.ends.expanded,
            End::Cancelled => &mut self.ends.cancelled,
        };
        *count += trace.items();
        self.credit.release(trace.items(), trace.bytes);
        let acknowledged = !matches!(end, End::Failed | End::Cancelled);
        self.gone.push(Gone::new(value, trace, acknowledged));
    }
}
