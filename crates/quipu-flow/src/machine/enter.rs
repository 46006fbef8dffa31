//! What an arrival does: a block waits, fills a batch, or meets those that it belongs to.

use super::node::{Buffer, Kind, Node};
use super::queue::Queue;
use super::token::{Block, Load, Member};
use super::{End, Machine};
use std::collections::VecDeque;
use std::time::Instant;

impl<V: Load> Machine<V> {
    /// Uncharged members come to a node, at its input number `input`; or to their end, if the run is stopping.
    pub(super) fn enter(&mut self, node: usize, input: usize, mut block: Block<V>, now: Instant) {
        if block.members.is_empty() {
            return;
        }
        let region = self.nodes[node].region;
        if self.is_stopping() || self.regions[region].is_closed {
            let end = if self.is_stopping() { End::Cancelled } else { End::Unpaired };
            block.members.iter().for_each(|member| self.end_member(member, end));
            self.gone.values.push(block.values);
            return;
        }
        block.since = now;
        block.attempts = 0;
        self.settle_in(node, &block);
        self.place(node, input, block, now);
    }

    /// Members that their quantum has not come to go back to where they were.
    pub(super) fn put_rest_back(&mut self, node: usize, block: Block<V>, now: Instant) {
        if block.members.is_empty() {
            return;
        }
        if self.is_stopping() || self.regions[self.nodes[node].region].is_closed {
            self.enter(node, 0, block, now);
            return;
        }
        self.settle_in(node, &block);
        match self.nodes[node].kind {
            Kind::Keyed { .. } | Kind::Reduce { .. } => self.place(node, 0, block, now),
            _ => self.nodes[node].queue.push(block),
        }
    }

    /// Charges a block to a node's books and to the account.
    fn settle_in(&mut self, node: usize, block: &Block<V>) {
        let sum = block.sum();
        let here = &mut self.nodes[node];
        here.population += sum.members;
        here.charge(sum.bytes);
        self.regions[here.region].credit.charge(sum.items, sum.bytes);
        if sum.has_lineage {
            block.members.iter().for_each(|member| self.enter_group(node, member));
        }
    }

    fn place(&mut self, node: usize, input: usize, block: Block<V>, now: Instant) {
        let here = &mut self.nodes[node];
        match here.kind {
            Kind::Batch { ordered: false, .. } | Kind::MapBatch { .. } | Kind::Device { .. } => {
                self.clock_is_late |= here.absorb(block, now) && here.deadline().is_some();
            }
            Kind::Keyed { .. } | Kind::Reduce { .. } => {
                let is_keyed = matches!(here.kind, Kind::Keyed { .. });
                let lane = |member: &Member| if is_keyed { member.ask } else { member.group().unwrap_or(0) };
                each(block, |single, member| here.lanes.push(lane(member), single));
            }
            Kind::Gather { .. } => each(block, |single, _| self.part_arrives(single)),
            Kind::Zip { .. } => each(block, |single, _| self.clone_arrives(input, single)),
            _ => here.queue.push(block),
        }
    }

    /// What waits before batches that keep the order goes into them as far as nothing older can come.
    pub(super) fn fill_in_order(&mut self, node: usize, now: Instant) {
        while let Some(first) = self.nodes[node].queue.first()
            && self.is_next_in_order(node, first)
        {
            let block = self.take_block(node, usize::MAX, true);
            let here = &mut self.nodes[node];
            self.clock_is_late |= here.absorb(block, now) && here.deadline().is_some();
        }
    }

    /// Ends all that waits at a node, running quanta apart.
    pub(super) fn drop_waiting(&mut self, node: usize, end: End) {
        self.drop_held(node, end);
        let here = &mut self.nodes[node];
        here.closing.clear();
        let mut blocks: Vec<Block<V>> = std::mem::take(&mut here.queue).into_blocks().collect();
        blocks.extend(std::mem::take(&mut here.ready).into_values().flatten());
        blocks.extend(here.lanes.drain());
        let buffers = std::mem::take(&mut here.buffers).into_values();
        blocks.extend(buffers.flat_map(|buffer| buffer.blocks.into_blocks()));
        let parked = std::mem::take(&mut here.parked);
        for block in blocks {
            self.end_block(node, block, end);
        }
        for parked in parked.into_values() {
            self.nodes[node].population -= 1;
            self.gone.values.push(parked.value);
            if !parked.is_ghost {
                self.leave_group(node, &parked.member);
                self.nodes[node].bytes -= parked.member.bytes;
                self.release(self.nodes[node].region, &parked.member);
                self.end_member(&parked.member, end);
            }
        }
    }

    /// Ends a block that waits at a node, and gives its credit back.
    pub(super) fn end_block(&mut self, node: usize, block: Block<V>, end: End) {
        let (items, bytes) = (block.items(), block.bytes());
        let here = &mut self.nodes[node];
        here.population -= block.members.len();
        here.bytes -= bytes;
        self.regions[here.region].credit.release(items, bytes);
        for member in &block.members {
            self.leave_group(node, member);
            self.end_member(member, end);
        }
        self.gone.values.push(block.values);
    }

    /// Counts an end. The member's credit is another matter.
    pub(super) fn end_member(&mut self, member: &Member, end: End) {
        *self.ends.count_mut(end) += u64::from(member.count);
        self.unlink(member.lineage.as_ref(), end.is_good());
    }
}

/// A block's members one by one, each with its value.
fn each<V: Load>(block: Block<V>, mut then: impl FnMut(Block<V>, &Member)) {
    let mut rest = Some(block);
    while let Some(block) = rest {
        let (single, behind) = block.split_first();
        if let Some(member) = single.members.front().cloned() {
            then(single, &member);
        }
        rest = behind;
    }
}

impl<V: Load> Node<V> {
    /// Puts a block into the partial batch of its group. A batch's size is a maximum: an item that would pass it closes
    /// the batch before it comes in, and one that is larger by itself travels alone. True if a batch was begun.
    pub(super) fn absorb(&mut self, block: Block<V>, now: Instant) -> bool {
        let Some(size) = self.kind.batch_size() else { return false };
        let mut is_new = false;
        let mut rest = Some(block);
        while let Some(mut block) = rest.take() {
            let group = block.members.front().and_then(Member::group);
            let filled = self.buffers.get(&group).map_or(0, |buffer| buffer.size);
            let (fits, weight) = fitting(&block, group, size.max - filled.min(size.max));
            if fits == 0 && filled > 0 {
                self.close_batch(group);
                rest = Some(block);
                continue;
            }
            let (fits, weight) = if fits == 0 { (1, block.members[0].ask) } else { (fits, weight) };
            if fits < block.members.len() {
                let taken = block.split_front(fits);
                rest = Some(std::mem::replace(&mut block, taken));
            }
            is_new |= filled == 0 && !self.buffers.contains_key(&group);
            let fresh = || Buffer { blocks: Queue::default(), size: 0, since: now };
            let buffer = self.buffers.entry(group).or_insert_with(fresh);
            buffer.size += weight;
            buffer.blocks.push(block);
            if buffer.size >= size.max {
                self.close_batch(group);
            }
        }
        is_new
    }

    /// Declares a partial batch whole, if there is one.
    pub(super) fn close_batch(&mut self, group: Option<u64>) {
        let Some(buffer) = self.buffers.remove(&group) else { return };
        let blocks: VecDeque<Block<V>> = buffer.blocks.into_blocks().collect();
        if let Some(oldest) = blocks.front().map(Block::position) {
            self.ready.insert(oldest, blocks);
        }
    }

    /// Takes the oldest whole batch; where there is none, a device that is idle takes what there is of one.
    pub(super) fn take_batch(&mut self) -> VecDeque<Block<V>> {
        if self.ready.is_empty()
            && let Some((_, group)) = self.oldest_buffer()
        {
            self.close_batch(group);
        }
        self.ready.pop_first().map(|(_, batch)| batch).unwrap_or_default()
    }

    /// Takes the oldest member out of a partial batch.
    pub(super) fn take_buffered(&mut self, group: Option<u64>) -> Option<Block<V>> {
        let buffer = self.buffers.get_mut(&group)?;
        let first = buffer.blocks.pop(1, None)?;
        buffer.size -= first.members.iter().map(|member| member.ask).sum::<u64>().min(buffer.size);
        if buffer.blocks.is_empty() {
            self.buffers.remove(&group);
        }
        Some(first)
    }
}

/// How many of a block's members, all of one group, fit into what is left of a batch, and what they weigh.
fn fitting<V>(block: &Block<V>, group: Option<u64>, room: u64) -> (usize, u64) {
    let (mut fits, mut weight) = (0, 0u64);
    for member in block.members.iter().take_while(|member| member.group() == group) {
        let heavier = weight.saturating_add(member.ask);
        if heavier > room {
            break;
        }
        (fits, weight) = (fits + 1, heavier);
    }
    (fits, weight)
}
