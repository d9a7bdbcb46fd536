//! From a command to its action, and from the action's output to an answer.

use super::grammar::{
    AccountVerb, BanVerb, CaVerb, Command, EventVerb, GroupVerb, HostVerb, ImageVerb, JobVerb, KeyVerb,
    PlanVerb, RoleVerb, SessionVerb, VmVerb,
};
use super::{DONE, Flow, Render, Shell, ask, grammar, help};
use serde::Serialize;

use crate::action::{account, ca, enter, job, key, session, vm};
use crate::error::{Code, Error, Result};
use crate::guest::relay::{self, Run};
use crate::model::name::VmRef;
use crate::model::{Job, SessionInfo, SshKey, Vm};
use crate::portal::Action;
use crate::term::Input;

/// The most that a verb reads from standard input, bytes.
const LONGEST_INPUT: usize = 512 * 1024;

impl Shell<'_> {
    pub(super) async fn perform<A: Action>(&self, action: A) -> Result<A::Output> {
        self.portal.perform(self.who, action).await
    }

    /// Performs an action and gives its output as the answer.
    pub(super) async fn give<A>(&mut self, action: A) -> Result<Flow>
    where
        A: Action,
        A::Output: Serialize + Render,
    {
        let output = self.perform(action).await?;
        self.answer(&output).await
    }

    /// The same for what the backend has told; if it is away, that is said.
    async fn give_states<A>(&mut self, action: A) -> Result<Flow>
    where
        A: Action,
        A::Output: Serialize + Render,
    {
        let flow = self.give(action).await?;
        if let Some(away) = self.portal.driver_away().filter(|_| !self.json) {
            self.remark(&away.message).await;
        }
        Ok(flow)
    }

    pub(super) async fn run(&mut self, command: Command) -> Result<Flow> {
        match command {
            Command::Vm(verb) => self.vm(verb).await,
            Command::Image(ImageVerb::Ls(a)) => self.give(a).await,
            Command::Plan(PlanVerb::Ls(a)) => self.give(a).await,
            Command::Plan(PlanVerb::Limits(a)) => self.give(a).await,
            Command::Job(verb) => self.job(verb).await,
            Command::Key(verb) => self.key(verb).await,
            Command::Account(verb) => self.account(verb).await,
            Command::Session(SessionVerb::Ls(a)) => self.give(a).await,
            Command::Session(SessionVerb::Show(a)) => self.give(a).await,
            Command::Session(SessionVerb::Kill(a)) => self.session_kill(a).await,
            Command::Ban(BanVerb::Ls(a)) => self.give(a).await,
            Command::Ban(BanVerb::Add(a)) => self.give(a).await,
            Command::Ban(BanVerb::Rm(a)) => self.give(a).await,
            Command::Event(EventVerb::Ls(a)) => self.give(a).await,
            Command::Event(EventVerb::Show(a)) => self.give(a).await,
            Command::Event(EventVerb::Tail(a)) => self.tail(a).await,
            Command::User(verb) => self.user(verb).await,
            Command::Invite(verb) => self.invite(verb).await,
            Command::Role(verb) => self.role(verb).await,
            Command::Group(verb) => self.group(verb).await,
            Command::Ca(verb) => self.ca(verb).await,
            Command::Host(HostVerb::Show(a)) => {
                let snapshot = self.perform(a).await?;
                self.answer(&*snapshot).await
            }
            Command::Whoami(a) => self.whoami(a).await,
            Command::SshConfig(a) => self.give(a).await,
            Command::Help { topic } => self.say(help::about(&topic)?).await,
            // `try_execute` has taken it before.
            Command::Shell => Ok(DONE),
            Command::Exit => Ok(Flow::Exit),
        }
    }

    /// The shortest answer there is: scripts and people ask it first.
    async fn whoami(&mut self, action: account::Whoami) -> Result<Flow> {
        let me = self.perform(action).await?;
        if self.json { self.document(&me).await } else { self.say(format!("{}\n", me.user.name)).await }
    }

    async fn vm(&mut self, verb: VmVerb) -> Result<Flow> {
        match verb {
            VmVerb::New(a) => self.vm_new(a).await,
            VmVerb::Ls(a) => self.give_states(a).await,
            VmVerb::Show(a) => self.give_states(a).await,
            VmVerb::Stats(a) => self.give(a).await,
            VmVerb::Start(a) => self.change(a).await,
            VmVerb::Stop(a) => self.change(a).await,
            VmVerb::Restart(a) => self.change(a).await,
            VmVerb::Pause(a) => self.change(a).await,
            VmVerb::Resume(a) => self.change(a).await,
            VmVerb::Destroy(a) => self.vm_destroy(a).await,
            VmVerb::Ssh(a) => self.vm_ssh(a).await,
            VmVerb::Share(a) => self.give(a).await,
            VmVerb::Unshare(a) => self.give(a).await,
            VmVerb::Shares(a) => self.give(a).await,
            VmVerb::Console(a) => {
                let name = a.name.clone();
                ask::needs_terminal(self.stdio, &format!("The console of “{name}”"))?;
                let console = self.perform(a).await?;
                Ok(Flow::Done(crate::guest::console::run(self.stdio, console, &name.to_string()).await))
            }
        }
    }

    async fn vm_new(&mut self, mut action: vm::VmNew) -> Result<Flow> {
        if action.user_data.as_deref() == Some("-") {
            action.user_data = Some(self.standard_input().await?);
        }
        let name = VmRef { name: action.name.clone(), owner: None };
        let wait = !action.no_wait;
        let job = self.perform(action).await?;
        if !wait {
            return self.answer(&job).await;
        }
        self.follow(job).await?;
        let made = vm::show(self.portal, self.who, name).await?;
        if self.json {
            return self.document(&made).await;
        }
        let text = format!(
            "{name} is ready. Enter it:\n  ssh {owner}+{name}@PORTAL\n  ssh -J {owner}@PORTAL {user}@{name}\n  vm ssh {name}\n",
            name = made.name,
            owner = made.owner,
            user = made.ssh_user,
        );
        self.say(text).await
    }

    async fn vm_destroy(&mut self, action: vm::VmDestroy) -> Result<Flow> {
        if !action.yes {
            let names: Vec<_> = action.names.iter().map(ToString::to_string).collect();
            // What is not there need not be confirmed.
            for name in &action.names {
                vm::show(self.portal, self.who, name.clone()).await?;
            }
            let question = format!("Destroy {}, with everything on the disk?", names.join(", "));
            if self.input_is_commands || !ask::confirm(self.stdio, &question).await? {
                return Err(Error::new(Code::Cancelled, "Nothing was destroyed."));
            }
        }
        let wait = !action.no_wait;
        let jobs = self.perform(action).await?;
        if !wait {
            return self.answer_jobs(jobs).await;
        }
        let mut done = Vec::new();
        for job in jobs {
            done.push(self.follow(job).await?);
        }
        if self.json {
            return self.answer_jobs(done).await;
        }
        let text: String = done.iter().map(|j| format!("{} is destroyed.\n", j.target)).collect();
        self.say(text).await
    }

    /// Several jobs are an array, one is an object.
    async fn answer_jobs(&mut self, jobs: Vec<Job>) -> Result<Flow> {
        match jobs.as_slice() {
            [job] => self.answer(job).await,
            _ => self.answer(&jobs).await,
        }
    }

    /// Changes VMs, waits, and shows what they are then.
    async fn change<A: vm::ChangesVms>(&mut self, action: A) -> Result<Flow> {
        let (names, no_wait) = (action.names().to_vec(), action.no_wait());
        let jobs = self.perform(action).await?;
        if no_wait {
            return self.answer_jobs(jobs).await;
        }
        for job in jobs {
            self.follow(job).await?;
        }
        let mut vms: Vec<Vm> = Vec::new();
        for name in names {
            vms.push(vm::show(self.portal, self.who, name).await?);
        }
        match (self.json, vms.as_slice()) {
            (true, [vm]) => self.document(vm).await,
            (true, _) => self.document(&vms).await,
            (false, _) => {
                let text: String = vms.iter().map(|vm| format!("{} is {}.\n", vm.name, vm.state)).collect();
                self.say(text).await
            }
        }
    }

    async fn vm_ssh(&mut self, action: enter::VmSsh) -> Result<Flow> {
        let what = match action.command.as_slice() {
            [] => Run::Shell,
            words => Run::Exec(words.join(" ").into_bytes()),
        };
        let (_, guest) = self.perform(action).await?;
        Ok(Flow::Done(relay::run(self.stdio, &guest, what, false).await?))
    }

    async fn job(&mut self, verb: JobVerb) -> Result<Flow> {
        match verb {
            JobVerb::Ls(a) => self.give(a).await,
            JobVerb::Show(a) => self.give(a).await,
            JobVerb::Watch(job::JobWatch { id }) => {
                let job = self.perform(job::JobShow { id }).await?;
                let done = self.follow(job).await?;
                self.answer(&done).await
            }
            JobVerb::Cancel(a) => {
                let following = self.perform(a).await?;
                let job = self.see_the_end(following).await?;
                self.answer(&job).await
            }
            JobVerb::Retry(a) => {
                let wait = !a.no_wait;
                let job = self.perform(a).await?;
                let job = if wait { self.follow(job).await? } else { job };
                self.answer(&job).await
            }
        }
    }

    async fn key(&mut self, verb: KeyVerb) -> Result<Flow> {
        match verb {
            KeyVerb::Ls(a) => self.give(a).await,
            KeyVerb::Add(mut a) => {
                if a.key == ["-"] {
                    a = key::KeyAdd { key: vec![self.standard_input().await?], ..a };
                }
                for verb in a.verbs()? {
                    grammar::check_verb(&verb)?;
                }
                let added = self.perform(a).await?;
                self.answer_keys(added).await
            }
            KeyVerb::Rename(a) => self.give(a).await,
            KeyVerb::Rm(a) => {
                let gone = self.perform(a).await?;
                self.answer_keys(gone).await
            }
        }
    }

    /// Several keys are an array, one is an object; for people a line each.
    async fn answer_keys(&mut self, keys: Vec<SshKey>) -> Result<Flow> {
        match (self.json, keys.as_slice()) {
            (true, [key]) => self.document(key).await,
            (true, _) => self.document(&keys).await,
            (false, _) => self.say(keys.iter().map(Render::text).collect::<String>()).await,
        }
    }

    async fn ca(&mut self, verb: CaVerb) -> Result<Flow> {
        match verb {
            CaVerb::Ls(a) => self.give(a).await,
            CaVerb::Add(mut a) => {
                if a.key == ["-"] {
                    a = ca::CaAdd { key: vec![self.standard_input().await?], ..a };
                }
                self.give(a).await
            }
            CaVerb::Rm(a) => self.give(a).await,
            CaVerb::Revoke(a) => self.give(a).await,
        }
    }

    async fn role(&mut self, verb: RoleVerb) -> Result<Flow> {
        match verb {
            RoleVerb::Ls(a) => self.give(a).await,
            RoleVerb::Show(a) => self.give(a).await,
            RoleVerb::New(a) => self.give(a).await,
            RoleVerb::Set(a) => self.give(a).await,
            RoleVerb::Rm(a) => {
                let done = format!("The role {} is gone.", a.name);
                self.perform(a).await?;
                self.done(&done).await
            }
            RoleVerb::Grant(a) => self.give(a).await,
            RoleVerb::Revoke(a) => self.give(a).await,
        }
    }

    async fn group(&mut self, verb: GroupVerb) -> Result<Flow> {
        match verb {
            GroupVerb::Ls(a) => self.give(a).await,
            GroupVerb::Show(a) => self.give(a).await,
            GroupVerb::New(a) => self.give(a).await,
            GroupVerb::Rm(a) => {
                if !a.yes {
                    let question = format!("Remove the group {}, and what is shared with it?", a.name);
                    if self.input_is_commands || !ask::confirm(self.stdio, &question).await? {
                        return Err(Error::new(Code::Cancelled, "The group stays."));
                    }
                }
                let done = format!("The group {} is gone.", a.name);
                self.perform(a).await?;
                self.done(&done).await
            }
            GroupVerb::Add(a) => self.give(a).await,
            GroupVerb::Remove(a) => self.give(a).await,
        }
    }

    /// What has nothing to show but that it is done: `{}` for programs.
    pub(super) async fn done(&mut self, words: &str) -> Result<Flow> {
        if self.json { self.say("{}\n").await } else { self.say(format!("{words}\n")).await }
    }

    async fn account(&mut self, verb: AccountVerb) -> Result<Flow> {
        match verb {
            AccountVerb::Show(a) => self.give(a).await,
            AccountVerb::Passwd(_) => self.passwd().await,
            AccountVerb::Totp(verb) => self.totp(verb).await,
            AccountVerb::Prefs(a) => self.give(a).await,
            AccountVerb::Set(a) => {
                let setting = a.key;
                let preferences = self.perform(a).await?;
                if self.json {
                    return self.document(&preferences).await;
                }
                self.say(format!("{setting} is {}.\n", preferences.value(setting))).await
            }
        }
    }

    /// One by its number is an object, those of an account are an array.
    async fn session_kill(&mut self, action: session::SessionKill) -> Result<Flow> {
        let one = action.id.is_some();
        let ended = self.perform(action).await?;
        match (self.json, ended.as_slice()) {
            (true, [session]) if one => self.document(session).await,
            (true, _) => self.document(&ended).await,
            (false, []) => self.say("There was none.\n").await,
            (false, _) => {
                let line = |s: &SessionInfo| format!("The session {} of {} is ended.\n", s.id, s.user);
                self.say(ended.iter().map(line).collect::<String>()).await
            }
        }
    }

    async fn passwd(&mut self) -> Result<Flow> {
        if self.stdio.terminal.is_some() && !self.input_is_commands {
            ask::choose_password(self.portal, self.who, self.stdio).await?;
            return Ok(DONE);
        }
        let me = self.perform(account::AccountShow {}).await?;
        let text = zeroize::Zeroizing::new(self.standard_input().await?);
        let mut lines = text.lines().map(|l| zeroize::Zeroizing::new(l.to_owned()));
        let old = if me.has_password { lines.next() } else { None };
        let new = lines.next().ok_or_else(|| {
            Error::usage("The new password is missing.")
                .hint("Standard input holds the old password, if there is one, and the new one, a line each.")
        })?;
        self.perform(account::AccountPasswd { old, new }).await?;
        self.remark("The password is changed.").await;
        if self.json { self.say("{}\n").await } else { Ok(DONE) }
    }

    /// Everything on standard input, as text.
    pub(super) async fn standard_input(&mut self) -> Result<String> {
        let all = self.standard_input_bytes().await?;
        String::from_utf8(all).map_err(|_| Error::usage("Standard input is not UTF-8."))
    }

    /// Everything on standard input.
    pub(super) async fn standard_input_bytes(&mut self) -> Result<Vec<u8>> {
        if self.input_is_commands {
            return Err(Error::usage("Standard input holds the commands here.")
                .hint("Give the text itself, in quotes."));
        }
        if self.stdio.terminal.is_some() {
            return Err(Error::usage("Standard input is a terminal here.")
                .hint("Send a file: `cat FILE | ssh PORTAL …`."));
        }
        let mut all = Vec::new();
        while let Some(input) = self.stdio.input.recv().await {
            match input {
                Input::Data(bytes) => all.extend_from_slice(&bytes),
                Input::Eof => break,
                Input::Resize(_) | Input::Signal(_) => {}
            }
            if all.len() > LONGEST_INPUT {
                let most = crate::model::text::bytes(LONGEST_INPUT as u64);
                return Err(Error::usage(format!("There is more than {most} on standard input.")));
            }
        }
        Ok(all)
    }

    /// Waits for a job that somebody else shows; its last state.
    async fn see_the_end(&mut self, mut following: tokio::sync::watch::Receiver<Job>) -> Result<Job> {
        let _ = following.wait_for(|j| j.state.is_final()).await;
        Ok(following.borrow().clone())
    }
}
