//! Carries out what the model asks of the world: each effect is a task that
//! answers with messages. All that is wanted goes through the one door.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::app::Msg;
use super::effect::{Effect, Feed, Task};
use crate::error::{Code, Error};
use crate::portal::{Portal, Principal};

/// Messages that may wait while the screen is busy.
const BACKLOG: usize = 64;
/// Commands and tasks of one session that may run at once.
const AT_ONCE: usize = 16;

/// Carries effects out.
pub(super) struct Live {
    portal: Portal,
    who: Principal,
    tell: mpsc::Sender<Msg>,
    /// Each ends when another takes its word, and all with the screen.
    feeds: HashMap<&'static str, JoinSet<()>>,
    watchers: JoinSet<()>,
    running: Arc<Semaphore>,
}

impl Live {
    pub fn new(portal: &Portal, who: &Principal) -> (Live, mpsc::Receiver<Msg>) {
        let (tell, told) = mpsc::channel(BACKLOG);
        let live = Live {
            portal: portal.clone(),
            who: who.clone(),
            tell,
            feeds: HashMap::new(),
            watchers: JoinSet::new(),
            running: Arc::new(Semaphore::new(AT_ONCE)),
        };
        (live, told)
    }

    /// Carries an effect out in the background. What only the screen itself can do is left.
    pub fn carry_out(&mut self, effect: Effect) {
        let tell = self.tell.clone();
        while self.watchers.try_join_next().is_some() {}
        match effect {
            Effect::Follow(feed) => self.follow(feed),
            Effect::Unfollow(word) => {
                self.feeds.remove(word);
            }
            Effect::ForgetAfter(id, seconds) => {
                self.watchers.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    let _ = tell.send(Msg::Forget(id)).await;
                });
            }
            Effect::Do(task) => self.run(task),
            Effect::Line(line) => self.line(line),
            other => tracing::error!(effect = ?other, "an effect that nobody carries out"),
        }
    }

    fn follow(&mut self, feed: Feed) {
        let word = feed.word;
        let mut tasks = JoinSet::new();
        tasks.spawn(feed.start(self.portal.clone(), self.who.clone(), self.tell.clone()));
        // Dropping the old one ends it.
        self.feeds.insert(word, tasks);
    }

    /// What changes something is done even if the screen ends at once.
    fn run(&mut self, task: Task) {
        let (portal, who, tell) = (self.portal.clone(), self.who.clone(), self.tell.clone());
        let Some(place) = self.place() else { return };
        tokio::spawn(async move {
            let msg = task.start(portal, who).await;
            drop(place);
            let _ = tell.send(msg).await;
        });
    }

    fn line(&mut self, line: String) {
        let (portal, who, tell) = (self.portal.clone(), self.who.clone(), self.tell.clone());
        let Some(place) = self.place() else { return };
        tokio::spawn(async move {
            let said = crate::shell::capture(&portal, &who, &line).await;
            drop(place);
            let _ = tell.send(Msg::Ran(said)).await;
        });
    }

    fn place(&mut self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let place = Arc::clone(&self.running).try_acquire_owned().ok();
        if place.is_none() {
            let tell = self.tell.clone();
            let e = Error::new(Code::VmBusy, "Too much is under way in this session.")
                .hint("Wait for some of it.");
            self.watchers.spawn(async move {
                let _ = tell.send(Msg::Failed(e)).await;
            });
        }
        place
    }
}
