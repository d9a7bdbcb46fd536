//! Backpressure, channel by channel. russh hands a channel's window back as soon
//! as data *arrives*, and waits in the connection's own loop for whoever reads
//! the channel: one reader who stops would stop them all, and what he has to say
//! himself with them. So here every channel is read at once, into its own
//! [`Inbox`], and windows are made small by the one lever that russh has:
//! `Handler::adjust_window`, which is told of each grant and says up to how many
//! bytes the *next* grant fills a window, whichever channel's that is.
//!
//! - While nobody is behind, grants fill whole windows.
//! - Once somebody is, the shutter falls: a channel whose window is used up gets
//!   [`TRICKLE`] bytes. Those who are behind stay at that, a few bytes at a time,
//!   which also is how their client finds out that they read again. Whoever is
//!   not behind and starves gets a sip with his next packet.
//!   The order in which packets come is foretold from that in which they came;
//!   what a wrong guess gives to one who is behind adds up to [`ENOUGH`] and no
//!   further: then the starving trickle too, which still is enough for typing.
//! - Should the connection's inboxes together hold more than [`MOST`] all the
//!   same (many channels behind at once, or a client that minds no window), the
//!   connection is not read from until there is room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::sync::Notify;

use crate::guest::relay::signal_word;
use crate::term::{Input, WindowSize};

/// A channel's window (RFC 4254 §5.2): what a client may have sent unasked.
pub(super) const WINDOW: u32 = 1 << 20;
/// The smallest target at which russh grants anything: 2 bytes, at 0 left.
const TRICKLE: u32 = 2;
/// What a channel gets that starves through no fault of its own.
const SIP_MOST: u32 = 256 << 10;
const SIP_LEAST: u32 = 8 << 10;
/// From so many bytes unread a channel is behind.
const BEHIND: usize = 256 << 10;
/// Bytes unread in all inboxes of one connection.
const MOST: usize = 8 << 20;
/// From here on nobody gets a sip: too many went to the wrong one.
const ENOUGH: usize = MOST / 4 * 3;
/// After a trickle: time for its client to answer it, which keeps packets in the
/// order of their grants; and longer and longer, while all that comes is trickles.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const PAUSE_STEP: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// What an entry of an inbox costs beside its bytes.
const ENTRY: usize = 96;
/// Packets smaller than this are put together while they wait, up to [`LUMP`].
const SMALL: usize = 1 << 10;
const LUMP: usize = 32 << 10;

/// One connection's inboxes, and the windows that follow from them.
#[derive(Debug, Default)]
pub(super) struct Flow {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes unread, by the channel's number.
    unread: HashMap<u32, usize>,
    total: usize,
    behind: usize,
    shutter: Shutter,
    pause: Option<Duration>,
    /// Whoever reads the connection, while there is no room.
    reader: Option<Waker>,
}

/// What the calls of [`Flow::adjust`] have shown. A channel that starves sends
/// its next two bytes in some order with those that are behind; the order repeats.
#[derive(Debug)]
struct Shutter {
    down: bool,
    /// What the next grant fills a window up to.
    target: u32,
    /// A channel that is not behind, and had only a trickle.
    starving: bool,
    /// Grants since its last one to channels that are behind, and how many there
    /// were the time before.
    between: u32,
    expected: u32,
    /// Grants to channels that are behind, and to no other, in a row.
    idle: u32,
    /// What a starving channel gets: more while it comes to the right one.
    sip: u32,
}

impl Default for Shutter {
    fn default() -> Self {
        Shutter {
            down: false,
            target: WINDOW,
            starving: false,
            between: 0,
            expected: 1,
            idle: 0,
            sip: SIP_MOST / 4,
        }
    }
}

impl Flow {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told of a grant to a channel; says up to what the next one goes.
    pub fn adjust(&self, channel: u32) -> u32 {
        self.state().adjust(channel)
    }

    /// How long the connection is to be left alone before its next packet: a
    /// client who is behind would send two bytes as fast as they are granted.
    pub fn pause(&self) -> Option<Duration> {
        self.state().pause.take()
    }

    /// Ready while there is room for what the client sends.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.total < MOST {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The inbox of a channel, and what fills it.
    pub fn inbox(self: &Arc<Self>, from: ChannelReadHalf, id: u32) -> (Intake, Inbox) {
        let line =
            Arc::new(Line { flow: Arc::clone(self), id, queue: Mutex::default(), ready: Notify::new() });
        (Intake { from, line: Arc::clone(&line) }, Inbox { line })
    }

    /// Takes note that a channel has so many bytes unread.
    fn note(&self, channel: u32, unread: usize) {
        let reader = self.state().note(channel, unread);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl State {
    fn note(&mut self, channel: u32, unread: usize) -> Option<Waker> {
        let before = match unread {
            0 => self.unread.remove(&channel),
            n => self.unread.insert(channel, n),
        }
        .unwrap_or(0);
        self.total = self.total + unread - before;
        self.behind += usize::from(unread >= BEHIND);
        self.behind -= usize::from(before >= BEHIND);
        if self.total < MOST { self.reader.take() } else { None }
    }

    fn is_behind(&self, channel: u32) -> bool {
        self.unread.get(&channel).is_some_and(|n| *n >= BEHIND)
    }

    fn adjust(&mut self, channel: u32) -> u32 {
        let behind = self.is_behind(channel);
        let shutter = &mut self.shutter;
        if self.behind == 0 {
            *shutter = Shutter::default();
            return WINDOW;
        }
        let trickled = shutter.down && shutter.target == TRICKLE;
        let sip = if self.total < ENOUGH { shutter.sip } else { TRICKLE };
        shutter.target = match (behind, trickled) {
            (true, true) => {
                shutter.between += 1;
                let now = shutter.starving && shutter.between == shutter.expected;
                if now { sip } else { TRICKLE }
            }
            // It took what was meant for the starving one.
            (true, false) => {
                shutter.between += 1;
                shutter.sip = (shutter.sip / 4).max(SIP_LEAST);
                TRICKLE
            }
            (false, false) => {
                shutter.sip = (shutter.sip + SIP_LEAST).min(SIP_MOST);
                shutter.starving = false;
                TRICKLE
            }
            (false, true) => {
                if shutter.starving {
                    shutter.expected = shutter.between.min(16);
                }
                shutter.starving = true;
                shutter.between = 0;
                if shutter.expected == 0 { sip } else { TRICKLE }
            }
        };
        shutter.down = true;
        shutter.idle = if behind { shutter.idle.saturating_add(1) } else { 0 };
        if trickled {
            self.pause = Some(SHORTEST_PAUSE.max(PAUSE_STEP.saturating_mul(shutter.idle)).min(LONGEST_PAUSE));
        }
        shutter.target
    }
}

/// What waits to be read of one channel.
#[derive(Debug)]
struct Line {
    flow: Arc<Flow>,
    id: u32,
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Input>,
    cost: usize,
    /// Nothing will be added any more.
    ended: bool,
    /// Nobody reads any more.
    forsaken: bool,
}

fn cost(item: &Input) -> usize {
    match item {
        Input::Data(bytes) => ENTRY + bytes.len(),
        Input::Resize(_) | Input::Signal(_) | Input::Eof => ENTRY,
    }
}

impl Queue {
    fn push(&mut self, item: Input) {
        if self.forsaken {
            return;
        }
        self.cost += cost(&item);
        match (self.items.back_mut(), item) {
            (Some(Input::Data(last)), Input::Data(more))
                if more.len() < SMALL && last.len() + more.len() <= LUMP =>
            {
                let mut lump = BytesMut::from(std::mem::take(last));
                lump.extend_from_slice(&more);
                *last = lump.freeze();
                self.cost -= ENTRY;
            }
            // Only the last size is of any use.
            (Some(Input::Resize(last)), Input::Resize(size)) => {
                *last = size;
                self.cost -= ENTRY;
            }
            (_, item) => self.items.push_back(item),
        }
    }

    fn pop(&mut self) -> Option<Input> {
        let item = self.items.pop_front()?;
        self.cost -= cost(&item);
        Some(item)
    }
}

impl Line {
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let before = queue.cost;
        let result = change(&mut queue);
        // Told under the lock, or two threads would tell in the wrong order.
        if queue.cost != before {
            self.flow.note(self.id, queue.cost);
        }
        result
    }
}

/// Reads a channel as fast as it comes.
#[derive(Debug)]
pub(super) struct Intake {
    from: ChannelReadHalf,
    line: Arc<Line>,
}

impl Intake {
    /// Fills the inbox until the client closes the channel. `count` is told how
    /// many bytes came. This must be polled for as long as the channel lives.
    pub async fn run(mut self, count: impl Fn(usize)) {
        while let Some(message) = self.from.wait().await {
            let item = match message {
                ChannelMsg::Data { data } => {
                    count(data.len());
                    Input::Data(data)
                }
                ChannelMsg::WindowChange { col_width, row_height, .. } => {
                    Input::Resize(WindowSize::clamp(col_width, row_height))
                }
                ChannelMsg::Signal { signal } => Input::Signal(signal_word(&signal)),
                ChannelMsg::Eof => Input::Eof,
                ChannelMsg::Close => return,
                _ => continue,
            };
            self.line.change(|queue| queue.push(item));
            self.line.ready.notify_one();
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.line.change(|queue| queue.ended = true);
        self.line.ready.notify_one();
    }
}

/// What a client sent on one channel, in order. Dropped, what still comes is
/// let go.
#[derive(Debug)]
pub(super) struct Inbox {
    line: Arc<Line>,
}

impl Inbox {
    /// The next thing that the client sent; none once it has closed the channel.
    pub async fn next(&mut self) -> Option<Input> {
        loop {
            let (item, ended) = self.line.change(|queue| (queue.pop(), queue.ended));
            if item.is_some() || ended {
                return item;
            }
            self.line.ready.notified().await;
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.line.change(|queue| *queue = Queue { ended: queue.ended, forsaken: true, ..Queue::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u32 = 32 << 10;

    /// A client that always has something to send on every channel, and russh's
    /// part of the bargain (its `adjust_window_size`).
    struct Wire {
        state: State,
        windows: Vec<u32>,
        target: u32,
        arrived: Vec<usize>,
        /// Channels whose reader has stopped.
        stopped: Vec<bool>,
    }

    impl Wire {
        fn new(stopped: &[bool]) -> Self {
            let n = stopped.len();
            Wire {
                state: State::default(),
                windows: vec![WINDOW; n],
                target: WINDOW,
                arrived: vec![0; n],
                stopped: stopped.to_vec(),
            }
        }

        fn send(&mut self, channel: usize) {
            let bytes = self.windows[channel].min(PACKET);
            if bytes == 0 {
                return;
            }
            self.windows[channel] -= bytes;
            if self.windows[channel] < self.target / 2 {
                self.windows[channel] = self.target;
                self.target = self.state.adjust(channel as u32);
            }
            self.arrived[channel] += bytes as usize;
            if self.stopped[channel] {
                self.state.note(channel as u32, self.arrived[channel]);
            }
        }
    }

    #[test]
    fn windows_are_whole_while_everybody_reads() {
        let mut wire = Wire::new(&[false, false]);
        for _ in 0..1000 {
            wire.send(0);
            wire.send(1);
        }
        assert_eq!(wire.arrived, [1000 * PACKET as usize; 2]);
        assert_eq!(wire.target, WINDOW);
    }

    #[test]
    fn one_who_stops_gets_little_more_than_a_window() {
        let mut wire = Wire::new(&[true]);
        for _ in 0..10_000 {
            wire.send(0);
        }
        let most = BEHIND + 2 * WINDOW as usize + 10_000 * TRICKLE as usize;
        assert!((BEHIND..most).contains(&wire.arrived[0]), "{}", wire.arrived[0]);
    }

    /// The one who reads goes on, and the one who does not stays within bounds,
    /// whatever the order of their packets.
    #[test]
    fn one_who_stops_holds_up_no_other() {
        for (order, least) in [(vec![0, 1], 256 << 20), (vec![0, 0, 1], 128 << 20), (vec![1], 256 << 20)] {
            let mut wire = Wire::new(&[true, false]);
            for turn in 0..40_000 {
                // Everybody sends all that he may before the next one's turn.
                let channel = order[turn % order.len()];
                for _ in 0..wire.windows[channel].div_ceil(PACKET) {
                    wire.send(channel);
                }
            }
            let [behind, fine] = wire.arrived[..] else { unreachable!() };
            assert!(fine > least, "{order:?}: {fine} bytes through, {behind} held");
            assert!(behind < 4 << 20, "{order:?}: {behind} held, {fine} through");
        }
    }

    #[test]
    fn in_no_order_does_one_who_stops_fill_the_house() {
        for seed in 1..50u32 {
            let mut wire = Wire::new(&[true, false]);
            let mut dice = seed.wrapping_mul(2_654_435_761);
            for _ in 0..40_000 {
                dice ^= dice << 13;
                dice ^= dice >> 17;
                dice ^= dice << 5;
                wire.send((dice >> 16) as usize % 2);
            }
            let [behind, fine] = wire.arrived[..] else { unreachable!() };
            assert!(behind < MOST, "seed {seed}: {behind} held, {fine} through");
            assert!(fine > 4 << 20, "seed {seed}: {behind} held, {fine} through");
        }
    }

    #[test]
    fn one_who_reads_again_gets_whole_windows_again() {
        let mut wire = Wire::new(&[true]);
        for _ in 0..1000 {
            wire.send(0);
        }
        assert_eq!(wire.target, TRICKLE);
        wire.stopped[0] = false;
        wire.state.note(0, 0);
        let before = wire.arrived[0];
        for _ in 0..1000 {
            wire.send(0);
        }
        assert_eq!(wire.target, WINDOW);
        assert!(wire.arrived[0] - before > 900 * PACKET as usize);
    }

    #[test]
    fn the_books_balance() {
        let mut state = State::default();
        for (channel, unread) in [(1, BEHIND), (2, 10), (1, 0), (3, MOST), (2, 0), (3, BEHIND - 1)] {
            state.note(channel, unread);
        }
        assert_eq!((state.total, state.behind, state.unread.len()), (BEHIND - 1, 0, 1));
    }

    #[test]
    fn what_waits_is_put_together_and_stays_in_order() {
        let mut queue = Queue::default();
        let sizes = [WindowSize { cols: 1, rows: 1 }, WindowSize { cols: 2, rows: 2 }];
        for _ in 0..100_000 {
            queue.push(Input::Data(bytes::Bytes::from_static(b"ab")));
        }
        queue.push(Input::Resize(sizes[0]));
        queue.push(Input::Resize(sizes[1]));
        queue.push(Input::Data(bytes::Bytes::from_static(b"c")));
        queue.push(Input::Eof);
        assert!(queue.items.len() < 12 && queue.cost < 220_000, "{} {}", queue.items.len(), queue.cost);
        let mut text = Vec::new();
        let mut rest = Vec::new();
        while let Some(item) = queue.pop() {
            match item {
                Input::Data(bytes) if rest.is_empty() => text.extend_from_slice(&bytes),
                item => rest.push(item),
            }
        }
        assert_eq!(text, b"ab".repeat(100_000));
        assert_eq!(rest[0], Input::Resize(sizes[1]));
        assert_eq!(rest[2], Input::Eof);
        assert_eq!(queue.cost, 0);
    }
}
