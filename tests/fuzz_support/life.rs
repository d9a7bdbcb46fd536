//! One hostile connection from its first byte to its last, made from a number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::dice::Dice;
use super::messages;
use crate::wire::{Key, Message, Wire, dial, kexinit, msg};

/// How far the lives came, so that a fuzzer that reaches nothing is noticed.
#[derive(Debug, Default)]
pub struct Reached {
    pub lives: AtomicU64,
    pub key_exchanges: AtomicU64,
    pub logins: AtomicU64,
    pub sent: AtomicU64,
    pub bytes: AtomicU64,
    pub channels: AtomicU64,
    pub channel_data: AtomicU64,
    pub statuses: AtomicU64,
    pub cut: AtomicU64,
}

/// Where the lives go.
pub struct Target {
    pub address: SocketAddr,
    pub login: &'static str,
    pub key: Key,
    pub reached: Arc<Reached>,
}

/// What is sent from where on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Before,
    After,
}

/// The longest that a life may take; whoever waits for the server longer goes.
const LONGEST: Duration = Duration::from_secs(8);

impl Target {
    /// Lives one life.
    pub async fn live(&self, seed: u64, phase: Phase) {
        let mut dice = Dice::new(seed);
        self.reached.lives.fetch_add(1, Relaxed);
        let _ = tokio::time::timeout(LONGEST, self.phases(&mut dice, phase)).await;
    }

    async fn phases(&self, dice: &mut Dice, phase: Phase) -> std::io::Result<()> {
        let from = u8::try_from(2 + dice.below(200)).unwrap();
        if phase == Phase::Before {
            match dice.below(5) {
                0 => return self.garbage(dice, from).await,
                1 => return self.bent_exchange(dice, from).await,
                _ => {}
            }
        }
        let mut wire = Wire::connect(self.address, from).await?;
        self.reached.key_exchanges.fetch_add(1, Relaxed);
        if phase == Phase::After {
            wire.sign_in(self.login, &self.key).await?;
            self.reached.logins.fetch_add(1, Relaxed);
            if dice.often(10) {
                wire.exchange().await?;
            }
            if dice.often(80) {
                wire.open(0, 1 << 20, 32 * 1024).await?;
                self.reached.channels.fetch_add(1, Relaxed);
            }
        } else if dice.often(80) {
            wire.ask_to_sign_in().await?;
        }
        self.talk(dice, wire, phase).await;
        Ok(())
    }

    /// Messages, most of them whole, while the answers are read or left unread.
    async fn talk(&self, dice: &mut Dice, wire: Wire, phase: Phase) {
        let Wire { mut reader, mut writer, .. } = wire;
        let reads = dice.often(85);
        // One bent packet ends most connections: what lies deep is reached by those that bend few.
        let bends = if dice.often(40) { 15 } else { 1 };
        let reached = Arc::clone(&self.reached);
        let reading = tokio::spawn(async move {
            while reads && let Ok(packet) = reader.packet().await {
                reached.note(packet.first().copied());
            }
            reader
        });
        for _ in 0..dice.below(120) {
            let mut message = match phase {
                Phase::Before => messages::before(dice),
                Phase::After => messages::after(dice, bends > 1),
            };
            if dice.often(bends) {
                dice.bend(&mut message);
            }
            let padding = (bends > 1 && dice.often(1)).then(|| dice.byte());
            let mut packet = writer.seal(&message, padding);
            if bends > 1 && dice.often(1) {
                dice.bend(&mut packet);
            }
            self.reached.sent.fetch_add(1, Relaxed);
            self.reached.bytes.fetch_add(packet.len() as u64, Relaxed);
            if writer.raw(&packet).await.is_err() {
                self.reached.cut.fetch_add(1, Relaxed);
                break;
            }
            if dice.often(5) {
                tokio::time::sleep(Duration::from_millis(dice.below(20) as u64)).await;
            }
        }
        match dice.below(4) {
            0 => reading.abort(),
            1 => {
                let bye = Message::new(msg::DISCONNECT).int(11).text("bye").text("").0;
                let _ = writer.packet(bye).await;
                writer.shutdown().await;
                let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
            }
            _ => {
                writer.shutdown().await;
                let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
            }
        }
    }

    /// No SSH at all, or a version and no SSH after it.
    async fn garbage(&self, dice: &mut Dice, from: u8) -> std::io::Result<()> {
        let Wire { mut reader, mut writer, .. } = Wire::over(dial(self.address, from).await?);
        if dice.often(60) {
            writer
                .raw(dice.of(&[&b"SSH-2.0-x\r\n"[..], b"SSH-2.0-\n", b"SSH-1.99-\xff\n", b"SSH-1.5-old\r\n"]))
                .await?;
        }
        for _ in 0..dice.below(5) {
            let length = dice.of(&[1, 4, 5, 64, 255, 256, 4000, 70_000]);
            let bytes = match dice.below(3) {
                0 => dice.bytes(length),
                1 => vec![0; length],
                _ => vec![b'\n'; length],
            };
            writer.raw(&bytes).await?;
        }
        writer.shutdown().await;
        let mut buffer = vec![0; 4096];
        while reader.raw(&mut buffer).await > 0 {}
        Ok(())
    }

    /// A first key exchange that is bent somewhere.
    async fn bent_exchange(&self, dice: &mut Dice, from: u8) -> std::io::Result<()> {
        let Wire { mut reader, mut writer, .. } = Wire::greet(self.address, from).await?;
        for step in 0..4 + dice.below(4) {
            let mut message = match step {
                0 => kexinit(),
                1 => Message::new(msg::ECDH_INIT).text(dice.bytes(32)).0,
                2 => vec![msg::NEWKEYS],
                _ => messages::before(dice),
            };
            if dice.often(40) {
                dice.bend(&mut message);
            }
            let mut packet = writer.seal(&message, dice.often(5).then_some(255));
            if dice.often(10) {
                dice.bend(&mut packet);
            }
            self.reached.sent.fetch_add(1, Relaxed);
            writer.raw(&packet).await?;
        }
        writer.shutdown().await;
        let mut buffer = vec![0; 4096];
        while reader.raw(&mut buffer).await > 0 {}
        Ok(())
    }
}

impl Reached {
    fn note(&self, kind: Option<u8>) {
        let count = match kind {
            Some(msg::CHANNEL_OPEN_CONFIRMATION) => &self.channels,
            Some(msg::CHANNEL_DATA) => &self.channel_data,
            Some(msg::CHANNEL_REQUEST) => &self.statuses,
            _ => return,
        };
        count.fetch_add(1, Relaxed);
    }
}
