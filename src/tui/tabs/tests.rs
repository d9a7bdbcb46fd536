mod drawing;
mod flood;
mod typing;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::error::Result;
use crate::term::{self, Input, Writer};
use crate::tui::theme::Theme;

/// No wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The far end of a tab.
struct Guest {
    vm: VmRef,
    way: Way,
    terminal: term::Terminal,
    writer: Writer,
    heard: mpsc::UnboundedReceiver<Input>,
    end: oneshot::Sender<Result<Ended>>,
}

/// Enters nothing: tests play the guest.
#[derive(Debug)]
struct Theatre(mpsc::UnboundedSender<Guest>);

#[async_trait]
impl Door for Theatre {
    async fn enter(&self, vm: &VmRef, way: Way, stdio: &mut Stdio) -> Result<Ended> {
        let (hears, heard) = mpsc::unbounded_channel();
        let (end, mut ended) = oneshot::channel();
        let terminal = stdio.terminal.clone().unwrap();
        let guest = Guest { vm: vm.clone(), way, terminal, writer: stdio.writer.clone(), heard, end };
        self.0.send(guest).map_err(|_| ()).unwrap();
        loop {
            tokio::select! {
                how = &mut ended => return how.unwrap_or(Ok(Ended::Status(relay::LOST))),
                Some(input) = stdio.input.recv() => { let _ = hears.send(input); }
            }
        }
    }
}

impl Guest {
    async fn says(&self, words: &str) {
        self.writer.raw(bytes::Bytes::copy_from_slice(words.as_bytes())).await.unwrap();
    }

    /// Waits until it has been typed that, and nothing else.
    async fn hears(&mut self, words: &[u8]) {
        let mut typed = Vec::new();
        while typed != words {
            match tokio::time::timeout(PATIENCE, self.heard.recv()).await {
                Ok(Some(Input::Data(bytes))) => typed.extend_from_slice(&bytes),
                Ok(Some(_)) => {}
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&typed)),
            }
            assert!(words.starts_with(&typed), "{:?}", String::from_utf8_lossy(&typed));
        }
    }

    /// Waits until its window has that size.
    async fn is_told(&mut self, cols: u16, rows: u16) {
        loop {
            match tokio::time::timeout(PATIENCE, self.heard.recv()).await {
                Ok(Some(Input::Resize(size))) if (size.cols, size.rows) == (cols, rows) => return,
                Ok(Some(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A session with tabs.
struct Session {
    tabs: Tabs,
    guests: mpsc::UnboundedReceiver<Guest>,
    size: (u16, u16),
}

fn prefs(depth: Depth) -> Prefs {
    let env = vec![(String::from("LANG"), String::from("C.UTF-8"))];
    Prefs { prefix: Prefix::default(), mouse: true, depth, modes: vec![(53, 1)], env }
}

impl Session {
    fn new(cols: u16, rows: u16) -> Session {
        let (made, guests) = mpsc::unbounded_channel();
        let tabs = Tabs::new(prefs(Depth::Sixteen), Arc::new(Theatre(made)), WindowSize { cols, rows });
        Session { tabs, guests, size: (cols, rows) }
    }

    /// Opens a tab; and its far end.
    async fn open(&mut self, vm: &str, way: Way) -> Guest {
        self.tabs.open(vm.parse().unwrap(), way).unwrap();
        self.guest().await
    }

    async fn guest(&mut self) -> Guest {
        tokio::time::timeout(PATIENCE, self.guests.recv()).await.unwrap().unwrap()
    }

    fn draw(&mut self) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal.draw(|frame| self.tabs.draw(frame, frame.area(), &Theme::new(Depth::Sixteen))).unwrap();
        terminal
    }

    /// The screen's lines.
    fn lines(&mut self) -> Vec<String> {
        let terminal = self.draw();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..self.size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..self.size.1).map(|y| line(y).trim_end().to_owned()).collect()
    }

    /// Waits until the screen shows that.
    async fn shows(&mut self, words: &str) {
        let changed = self.tabs.changed();
        let seen = Mutex::new(Vec::new());
        let wait = async {
            loop {
                let lines = self.lines();
                if lines.iter().any(|line| line.contains(words)) {
                    return;
                }
                *seen.lock().unwrap() = lines;
                changed.notified().await;
            }
        };
        let shown = tokio::time::timeout(PATIENCE, wait).await;
        assert!(shown.is_ok(), "{words:?} not in {:#?}", seen.lock().unwrap());
    }

    /// Waits until something has ended, and deals with it.
    async fn settles(&mut self) -> Vec<Step> {
        let changed = self.tabs.changed();
        let wait = async {
            while !self.tabs.tabs.iter().any(|t| t.ended() && !t.settled) {
                changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
        self.tabs.settle()
    }

    /// Types, and waits as long as a person would.
    fn types(&mut self, bytes: &[u8]) -> Vec<Step> {
        let mut steps = self.tabs.on_bytes(bytes);
        while self.tabs.silence_at().is_some() {
            steps.extend(self.tabs.on_silence());
        }
        steps
    }

    fn front(&self) -> String {
        self.tabs.list().iter().find(|t| t.front).map(|t| t.name.clone()).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_guest_gets_the_terminal_that_there_is() {
    let mut session = Session::new(80, 24);
    let guest = session.open("web1.alice", Way::Console).await;
    assert_eq!((guest.vm.to_string(), guest.way), (String::from("web1.alice"), Way::Console));
    let size = WindowSize { cols: 80, rows: 23 };
    assert_eq!(guest.terminal, term::Terminal { term: "xterm".into(), size, modes: vec![(53, 1)] });
    assert_eq!(prefs(Depth::True).terminal(size).term, "xterm-256color");
}

#[tokio::test]
async fn a_shell_that_ends_well_closes_its_tab() {
    let mut session = Session::new(80, 24);
    let first = session.open("web1", Way::Shell).await;
    let second = session.open("web2", Way::Shell).await;
    first.says("hello").await;
    first.end.send(Ok(Ended::Status(0))).unwrap();
    drop(first.writer);
    assert_eq!(session.settles().await, [Step::Say("web1: the shell has ended.".into())]);
    assert_eq!(session.tabs.list().len(), 1);
    second.end.send(Ok(Ended::Status(0))).unwrap();
    drop(second.writer);
    let steps = session.settles().await;
    assert_eq!(steps, [Step::Say("web2: the shell has ended.".into()), Step::ToList(vec![])]);
    assert!(session.tabs.running().is_empty());
}

#[tokio::test]
async fn other_ends_stay_to_be_read_and_can_be_entered_again() {
    for (way, how, words) in [
        (Way::Shell, Ok(Ended::Status(3)), "web1: the shell ended with status 3. Enter reopens it"),
        (Way::Shell, Ok(Ended::Status(255)), "web1: the connection was lost."),
        (Way::Console, Ok(Ended::Status(0)), "web1: the console ended."),
        (
            Way::Shell,
            Ok(Ended::Signal { name: "KILL".into(), core_dumped: false, message: String::new() }),
            "web1: the shell was ended by SIGKILL.",
        ),
        (
            Way::Shell,
            Err(Error::new(Code::VmNotFound, "No VM called “web1”.")),
            "No VM called “web1”. `vm ls` shows yours. Enter",
        ),
    ] {
        let mut session = Session::new(80, 24);
        let guest = session.open("web1", way).await;
        guest.says("what it said\r\n").await;
        guest.end.send(how).unwrap();
        drop(guest.writer);
        session.shows(words).await;
        assert_eq!(session.settles().await, []);
        assert!(session.lines().contains(&String::from("what it said")));
        assert!(session.tabs.list()[0].ended && session.tabs.running().is_empty());
        session.types(b"lost\r");
        let mut again = session.guest().await;
        session.types(b"id\r");
        again.hears(b"id\r").await;
        again.end.send(Ok(Ended::Status(1))).unwrap();
        drop(again.writer);
        session.shows("ended with status 1").await;
        assert_eq!(session.types(b"x"), [Step::ToList(vec![])]);
    }
}

#[tokio::test]
async fn what_happens_elsewhere_is_marked() {
    let mut session = Session::new(80, 24);
    let first = session.open("web1", Way::Shell).await;
    let second = session.open("web2", Way::Shell).await;
    let marked = |tabs: &Tabs| tabs.list().iter().map(|t| (t.news, t.bell)).collect::<Vec<_>>();
    second.says("$ ").await;
    session.shows("$").await;
    first.says("done").await;
    session.shows("1 web1•").await;
    assert_eq!(marked(&session.tabs), [(true, false), (false, false)]);
    first.says("\x07").await;
    session.shows("1 web1!").await;
    session.types(b"\x1d1");
    session.shows("done").await;
    assert_eq!(marked(&session.tabs), [(false, false), (false, false)]);
    // At the list nobody sees any of them.
    assert_eq!(session.types(b"\x1dd"), [Step::ToList(vec![])]);
    second.says("more").await;
    let changed = session.tabs.changed();
    let wait = async {
        while !marked(&session.tabs)[1].0 {
            changed.notified().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn there_is_an_end_to_tabs() {
    let mut session = Session::new(80, 24);
    let mut guests = Vec::new();
    for n in 0..MOST {
        guests.push(session.open(&format!("web{n}"), Way::Shell).await);
    }
    let refused = session.tabs.open("more".parse().unwrap(), Way::Shell).unwrap_err();
    assert_eq!(refused.code, Code::Quota);
    assert!(matches!(session.types(b"\x1dc").as_slice(), [Step::Say(_)]));
    assert_eq!(session.tabs.list().len(), MOST);
    assert_eq!(session.tabs.find(&"web3".parse().unwrap(), Way::Shell), Some(TabId(4)));
    assert_eq!(session.tabs.find(&"web3".parse().unwrap(), Way::Console), None);
}
