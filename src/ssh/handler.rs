//! russh's callbacks of one connection: signing in, and the opening of channels.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::{Certificate, HashAlg};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session as Russh, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::channel::{self, Route};
use super::entry::Entry;
use super::flow::Flow;
use super::{forward, welcome};
use crate::model::KeyLimits;
use crate::model::name::{UserName, VmRef};
use crate::model::text;
use crate::portal::auth::{Errand, Login, Newcomer, Verdict};
use crate::portal::{Portal, Principal, Session, keys};

/// Channels of one connection at once: OpenSSH's MaxSessions is 10, browsers
/// behind `-D` want more.
const CHANNELS: usize = 128;

/// What is asked by keyboard-interactive: hidden, as passwords are.
const ASK_PASSWORD: &[(Cow<'static, str>, bool)] = &[(Cow::Borrowed("Password: "), false)];
const ASK_CODE: &[(Cow<'static, str>, bool)] = &[(Cow::Borrowed("Code: "), false)];

/// Questions on one connection: more than there can be answers. Without an end one
/// could ask to be asked for as long as the grace lasts.
const QUESTIONS: u32 = 16;

/// The longest answer to that which is looked at, bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

fn ask(prompts: &'static [(Cow<'static, str>, bool)]) -> Auth {
    Auth::Partial {
        name: Cow::Borrowed(""),
        instructions: Cow::Borrowed(""),
        prompts: Cow::Borrowed(prompts),
    }
}

/// One connection's state.
pub(super) struct Connection {
    portal: Portal,
    login: Login,
    questions: u32,
    signed_in: watch::Sender<Option<Arc<Session>>>,
    /// Who signed in, and for what.
    admitted: Option<Admitted>,
    /// Who was let in without an account: they have a welcome, and nothing else.
    newcomer: Option<Arc<Newcomer>>,
    /// One permit a channel.
    channels: Arc<tokio::sync::Semaphore>,
    flow: Arc<Flow>,
}

#[derive(Clone)]
struct Admitted {
    who: Principal,
    route: Route,
}

/// `alice`, or `alice+web1` for those who want straight into a VM.
fn split(login: &str) -> Option<(UserName, Option<VmRef>)> {
    match login.split_once('+') {
        Some((user, vm)) => Some((user.parse().ok()?, Some(vm.parse().ok()?))),
        None => Some((login.parse().ok()?, None)),
    }
}

fn reject(methods: &[MethodKind], partial_success: bool) -> Auth {
    Auth::Reject { proceed_with_methods: Some(MethodSet::from(methods)), partial_success }
}

impl Connection {
    pub fn new(
        portal: Portal,
        from: IpAddr,
        signed_in: watch::Sender<Option<Arc<Session>>>,
        flow: Arc<Flow>,
    ) -> Self {
        let channels = Arc::new(tokio::sync::Semaphore::new(CHANNELS));
        let login = portal.login(from);
        Connection { portal, login, questions: 0, signed_in, admitted: None, newcomer: None, channels, flow }
    }

    /// The account that is asked for. What cannot be a name is treated like a
    /// name that nobody has: the same work, the same answer. What stands after a `+`
    /// may be a token, and is written down nowhere.
    fn account(login: &str) -> (String, Option<VmRef>) {
        if let Some(errand) = Errand::of(login).filter(|e| *e != Errand::Register) {
            return (errand.name().to_owned(), None);
        }
        match split(login) {
            Some((user, vm)) => (user.to_string(), vm),
            None => {
                let (name, more) = login.split_once('+').map_or((login, ""), |(name, _)| (name, "+…"));
                (format!("?{}{more}", text::short(name, 40)), None)
            }
        }
    }

    /// The errand of that login name, if it may be run.
    async fn errand(&mut self, login: &str) -> Option<Errand> {
        let errand = Errand::of(login)?;
        self.login.welcomes(&errand).await.then_some(errand)
    }

    /// Lets somebody in for an errand.
    async fn take_in(&mut self, errand: Errand, key: Option<&russh::keys::PublicKey>) -> Auth {
        let key = key.and_then(|key| keys::parse_public(&key.to_openssh().ok()?).ok());
        self.newcomer = self.login.come_in(errand, key).await;
        if self.newcomer.is_some() { Auth::Accept } else { self.refuse(errand.name()) }
    }

    fn answer(&mut self, verdict: Verdict, login: &str) -> Auth {
        let who = match verdict {
            Verdict::In(who) => who,
            Verdict::More => return reject(&[MethodKind::KeyboardInteractive], true),
            Verdict::No => return self.refuse(login),
        };
        let vm = Self::account(login).1;
        if let Some(vm) = &vm {
            who.session().leads_into(&vm.to_string());
        }
        let route = match vm {
            Some(vm) => Route::Guest(Arc::new(Entry::new(vm))),
            None => Route::Portal,
        };
        self.admitted = Some(Admitted { who, route });
        Auth::Accept
    }

    /// What whoever signed in is limited to.
    fn limits(&self) -> Option<&KeyLimits> {
        Some(self.admitted.as_ref()?.who.limits())
    }

    /// Says no, and which methods may still be tried.
    fn refuse(&self, login: &str) -> Auth {
        let wants_code = self.login.is_over() || self.login.wants_code(&Self::account(login).0);
        match (wants_code, self.login.takes_passwords()) {
            (true, _) => reject(&[MethodKind::KeyboardInteractive], false),
            (false, true) => reject(super::server::METHODS, false),
            (false, false) => reject(&[MethodKind::PublicKey], false),
        }
    }

    /// What somebody is asked by keyboard-interactive: what they have not shown yet.
    fn question(&self, login: &str) -> Auth {
        if self.login.wants_code(&Self::account(login).0) {
            ask(ASK_CODE)
        } else if self.login.takes_passwords() {
            ask(ASK_PASSWORD)
        } else {
            self.refuse(login)
        }
    }

    /// After too many wrong codes there is no use in going on.
    fn not_over(&self) -> Result<(), russh::Error> {
        if self.login.is_over() { Err(russh::Error::Disconnect) } else { Ok(()) }
    }
}

/// Newcomers show a key that they have, or come without.
fn ask_newcomer() -> Auth {
    let methods = MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..]);
    Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
}

/// Whether an account may have that key.
fn is_good(key: &russh::keys::PublicKey) -> bool {
    key.to_openssh().is_ok_and(|line| keys::parse_public(&line).is_ok())
}

/// However the connection ends, and if its client is gone before it hears that
/// it was let in: the session ends with it.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(newcomer) = &self.newcomer {
            self.portal.sessions().close(newcomer.session());
        }
        if let Some(admitted) = &self.admitted {
            self.portal.sessions().close(admitted.who.session());
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    /// A login that cannot be written down does not happen; then this is all
    /// that a client is told.
    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        let trouble = self.portal.trouble().map(|e| format!("Nobody can sign in now. {e}"));
        let banner = Some(self.portal.config().ssh.banner.clone()).filter(|b| !b.is_empty());
        Ok(trouble.or(banner).map(|words| words.lines().map(|l| format!("{}\r\n", text::clean(l))).collect()))
    }

    async fn auth_none(&mut self, login: &str) -> Result<Auth, russh::Error> {
        self.not_over()?;
        match self.errand(login).await {
            Some(_) => Ok(ask_newcomer()),
            None => Ok(self.refuse(login)),
        }
    }

    async fn auth_password(&mut self, login: &str, password: &str) -> Result<Auth, russh::Error> {
        self.not_over()?;
        let (name, _) = Self::account(login);
        let verdict = self.login.password(&name, Zeroizing::new(password.to_owned())).await;
        Ok(self.answer(verdict, login))
    }

    /// The code of the second factor; and the password too, for clients that know
    /// only this way.
    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        login: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        self.not_over()?;
        if response.is_none() {
            self.questions += 1;
            if self.questions > QUESTIONS {
                return Err(russh::Error::Disconnect);
            }
        }
        // Newcomers without a key are asked nothing: their token is all there is.
        if let Some(errand) = self.errand(login).await {
            return Ok(self.take_in(errand, None).await);
        }
        let Some(mut answers) = response else { return Ok(self.question(login)) };
        let said = answers.next().filter(|a| a.len() <= LONGEST_ANSWER).unwrap_or_default();
        // What is not UTF-8 is neither a code nor a password that was chosen here.
        let said = Zeroizing::new(std::str::from_utf8(&said).unwrap_or_default().to_owned());
        let (name, _) = Self::account(login);
        let verdict = match self.login.wants_code(&name) {
            true => self.login.code(&name, &said).await,
            false => self.login.password(&name, said).await,
        };
        match verdict {
            // Asked in the same conversation.
            Verdict::More => Ok(ask(ASK_CODE)),
            Verdict::In(_) | Verdict::No => Ok(self.answer(verdict, login)),
        }
    }

    /// Only whether a signature is worth making: nothing is decided by it.
    async fn auth_publickey_offered(
        &mut self,
        login: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        self.not_over()?;
        if self.errand(login).await.is_some() {
            let good = self.login.takes(offer.algorithm) && is_good(offer.public_key);
            return Ok(if good { Auth::Accept } else { ask_newcomer() });
        }
        let (name, _) = Self::account(login);
        let fingerprint = offer.public_key.fingerprint(HashAlg::Sha256).to_string();
        let good = self.login.takes(offer.algorithm) && self.login.would_accept_key(&name, fingerprint).await;
        Ok(if good { Auth::Accept } else { self.refuse(login) })
    }

    async fn auth_publickey(
        &mut self,
        login: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        if !self.login.takes(key.algorithm) {
            return Ok(self.refuse(login));
        }
        if let Some(errand) = self.errand(login).await {
            return Ok(self.take_in(errand, Some(key.public_key)).await);
        }
        let (name, _) = Self::account(login);
        let fingerprint = key.public_key.fingerprint(HashAlg::Sha256).to_string();
        let verdict = self.login.key(&name, fingerprint).await;
        Ok(self.answer(verdict, login))
    }

    async fn auth_openssh_certificate(
        &mut self,
        login: &str,
        certificate: &Certificate,
    ) -> Result<Auth, russh::Error> {
        // RSA's with SHA-1 was refused when it was offered.
        if !self.login.takes_certificates_of(&certificate.algorithm()) {
            return Ok(self.refuse(login));
        }
        if let Some(errand) = self.errand(login).await {
            let key = certificate.public_key().clone().into();
            return Ok(self.take_in(errand, Some(&key)).await);
        }
        let (name, _) = Self::account(login);
        let verdict = self.login.certificate(&name, certificate, crate::shell::verb_of).await;
        Ok(self.answer(verdict, login))
    }

    async fn auth_succeeded(&mut self, session: &mut Russh) -> Result<(), russh::Error> {
        if let Some(admitted) = &self.admitted {
            if let Route::Guest(entry) = &admitted.route {
                let whose = Arc::clone(admitted.who.session());
                entry.lead_agents_to(session.handle(), whose, Arc::clone(&self.flow));
            }
            self.signed_in.send_replace(Some(Arc::clone(admitted.who.session())));
        }
        if let Some(newcomer) = &self.newcomer {
            self.signed_in.send_replace(Some(Arc::clone(newcomer.session())));
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Russh,
    ) -> Result<(), russh::Error> {
        if let Some(newcomer) = self.newcomer.clone() {
            if !newcomer.begin() {
                reply.reject(ChannelOpenFailure::ResourceShortage).await;
                return Ok(());
            }
            reply.accept().await;
            tokio::spawn(welcome::run(newcomer, channel, session.handle(), Arc::clone(&self.flow)));
            return Ok(());
        }
        let (Some(admitted), Ok(permit)) =
            (self.admitted.clone(), Arc::clone(&self.channels).try_acquire_owned())
        else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        reply.accept().await;
        // Somebody is there, though he types nothing: command after command by one
        // connection is how ControlMaster and Ansible work.
        admitted.who.session().count_in(0);
        admitted.who.session().faces();
        let task = channel::Task {
            portal: self.portal.clone(),
            who: admitted.who,
            route: admitted.route,
            handle: session.handle(),
            flow: Arc::clone(&self.flow),
        };
        tokio::spawn(async move {
            task.run(channel).await;
            drop(permit);
        });
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Russh,
    ) -> Result<(), russh::Error> {
        let (Some(admitted), Ok(permit)) =
            (self.admitted.clone(), Arc::clone(&self.channels).try_acquire_owned())
        else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let Ok(port) = u16::try_from(port) else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        admitted.who.session().count_in(0);
        admitted.who.session().jumps();
        let task = forward::Task {
            portal: self.portal.clone(),
            who: admitted.who,
            route: admitted.route,
            host: host.to_owned(),
            port,
            flow: Arc::clone(&self.flow),
        };
        tokio::spawn(async move {
            task.run(channel, reply).await;
            drop(permit);
        });
        Ok(())
    }

    fn adjust_window(&mut self, channel: ChannelId, _window: u32) -> u32 {
        self.flow.adjust(channel.number())
    }

    // The requests below reach the channel's task in order, beside its data.
    // What is answered here is answered at once, for russh remembers only of
    // the latest request whether its client wants an answer.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _cols: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Russh,
    ) -> Result<(), russh::Error> {
        match self.limits().is_some_and(|limits| limits.no_pty) {
            true => session.channel_failure(channel),
            false => session.channel_success(channel),
        }
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        _value: &str,
        session: &mut Russh,
    ) -> Result<(), russh::Error> {
        match channel::lets_through(name) {
            true => session.channel_success(channel),
            false => session.channel_failure(channel),
        }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Russh) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Russh,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Russh,
    ) -> Result<(), russh::Error> {
        match self.admitted.as_ref().is_some_and(|a| a.route.is_guest()) {
            true => session.channel_success(channel),
            false => session.channel_failure(channel),
        }
    }

    /// Unanswered, the client would take the next answer for this one.
    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Russh,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn agent_request(
        &mut self,
        _channel: ChannelId,
        _session: &mut Russh,
    ) -> Result<bool, russh::Error> {
        let allowed = self.limits().is_some_and(|limits| !limits.no_agent);
        Ok(allowed && self.admitted.as_ref().is_some_and(|a| a.route.is_guest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins() {
        let (user, vm) = split("alice+web1").unwrap();
        assert_eq!((user.as_str(), vm.unwrap().to_string().as_str()), ("alice", "web1"));
        assert_eq!(split("alice+web1.bob").unwrap().1.unwrap().to_string(), "web1.bob");
        for bad in ["", "+", "alice+", "+web1", "alice+a+b", "root@x", "a\u{1b}", "alice web1"] {
            assert!(split(bad).is_none(), "{bad:?}");
        }
        assert!(Connection::account(&"x".repeat(100_000)).0.len() < 200);
        for login in ["invite+5ecret", "reset+5ecret", "invit+5ecret", "Invite+5ecret", "x y+5ecret"] {
            assert!(!Connection::account(login).0.contains("5ecret"), "{login}");
        }
    }
}
