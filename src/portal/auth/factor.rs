//! The second factor: set up, asked for, answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::totp;
use crate::error::{Code, Error, Result};
use crate::model::{Category, EventDraft, Network, Outcome, Severity, Time, User};
use crate::portal::Portal;
use crate::store::{HashedCode, Place, Totp};

/// Codes that stand in for the app's, when it is lost.
const BACKUP_CODES: usize = 10;
/// Signs of one, of five random bits each.
const BACKUP_SIGNS: usize = 12;
/// Without i, l, o and 1, which look like others.
const SIGNS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// The longest answer that is looked at, bytes.
const LONGEST_ANSWER: usize = 64;

/// Wrong codes of one account from one address, and in how long, before its
/// answers are not looked at any more.
const WRONG_CODES: u32 = 10;
const WRONG_CODES_FOR: Duration = Duration::from_secs(600);
/// Accounts and addresses that are counted at once.
const MOST_COUNTED: usize = 4096;

/// What an app is given.
#[derive(Debug, Clone)]
pub struct NewTotp {
    /// As people type it.
    pub secret: Zeroizing<String>,
    /// As apps read it.
    pub uri: Zeroizing<String>,
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// The app's code.
    Code,
    /// One of the backup codes, which is gone now.
    BackupCode,
    /// None was asked for: there was a right one from this address not long ago.
    Remembered,
}

impl Factor {
    /// Its word, for the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Factor::Code => "code",
            Factor::BackupCode => "backup_code",
            Factor::Remembered => "remembered_address",
        }
    }
}

/// Wrong codes of late: account and address, how many, and since when.
#[derive(Debug, Default)]
pub(in crate::portal) struct WrongCodes(Mutex<HashMap<(i64, Network), (u32, Instant)>>);

impl WrongCodes {
    fn count(&self, user_id: i64, from: IpAddr, now: Instant) {
        let Ok(mut counted) = self.0.lock() else { return };
        counted.retain(|_, (_, since)| now.duration_since(*since) < WRONG_CODES_FOR);
        if counted.len() >= MOST_COUNTED
            && let Some(oldest) = counted.iter().min_by_key(|(_, (_, since))| *since).map(|(who, _)| *who)
        {
            counted.remove(&oldest);
        }
        counted.entry((user_id, Network::of(from))).or_insert((0, now)).0 += 1;
    }

    fn too_many(&self, user_id: i64, from: IpAddr, now: Instant) -> bool {
        let Ok(counted) = self.0.lock() else { return true };
        counted
            .get(&(user_id, Network::of(from)))
            .is_some_and(|(n, since)| *n >= WRONG_CODES && now.duration_since(*since) < WRONG_CODES_FOR)
    }

    fn forget(&self, user_id: i64, from: IpAddr) {
        if let Ok(mut counted) = self.0.lock() {
            counted.remove(&(user_id, Network::of(from)));
        }
    }
}

/// An answer without what people put between its signs.
fn tidy(answer: &str) -> Zeroizing<String> {
    let signs = answer.chars().take(LONGEST_ANSWER + 1).filter(|c| !matches!(c, ' ' | '-' | '\t'));
    Zeroizing::new(signs.map(|c| c.to_ascii_lowercase()).collect())
}

/// Whether that may be one of an app's codes.
pub fn looks_like_a_code(answer: &str) -> bool {
    totp::looks_like_a_code(&tidy(answer))
}

/// Whether that may be one, or a backup code.
pub fn looks_like_an_answer(answer: &str) -> bool {
    let answer = tidy(answer);
    totp::looks_like_a_code(&answer) || answer.len() == BACKUP_SIGNS
}

fn hash_of(salt: &[u8; 16], code: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(code).finalize().into()
}

/// A backup code, `abcd-efgh-jkmn`, and how it is kept.
fn backup_code() -> (Zeroizing<String>, HashedCode) {
    let bytes: Zeroizing<[u8; BACKUP_SIGNS]> = Zeroizing::new(rand::random());
    let mut code = Zeroizing::new(String::with_capacity(BACKUP_SIGNS + 2));
    for (i, b) in bytes.iter().enumerate() {
        if i > 0 && i % 4 == 0 {
            code.push('-');
        }
        code.push(SIGNS.get(usize::from(b % 32)).map_or('x', |c| char::from(*c)));
    }
    let salt = rand::random();
    let hash = hash_of(&salt, &tidy(&code));
    (code, HashedCode { salt, hash })
}

type Codes = Vec<Zeroizing<String>>;

fn backup_codes() -> (Codes, Vec<HashedCode>) {
    (0..BACKUP_CODES).map(|_| backup_code()).unzip()
}

fn wrong() -> Error {
    Error::new(Code::BadCode, "That code is not right, or was used before.")
}

fn none_yet() -> Error {
    Error::new(Code::NotFound, "This account has no second factor.")
        .hint("`account totp enable` sets one up.")
}

impl Portal {
    fn totp_secret(&self, user_id: i64, totp: &Totp) -> Result<Zeroizing<Vec<u8>>> {
        self.inner.ring.unseal(&Place::totp(user_id), &totp.secret)
    }

    /// Makes a secret for an app. It counts when it is confirmed.
    ///
    /// # Errors
    /// `exists` if the account has one that counts.
    pub(crate) async fn begin_totp(&self, user: &User) -> Result<NewTotp> {
        let secret = totp::new_secret();
        let sealed = self.inner.ring.seal(&Place::totp(user.id), &*secret)?;
        self.store().totp_insert(user.id, sealed).await?;
        let uri = totp::uri(&self.config().name, &user.name, &*secret);
        Ok(NewTotp { secret: totp::spelled(&*secret), uri })
    }

    /// The app shows right codes: from now on they are asked for. The backup codes.
    ///
    /// # Errors
    /// `account.code` if the code is not right.
    pub(crate) async fn confirm_totp(&self, user_id: i64, answer: &str) -> Result<Codes> {
        let Some(totp) = self.store().totp(user_id).await? else { return Err(none_yet()) };
        if totp.confirmed_at.is_some() {
            return Err(Error::new(Code::Exists, "The second factor is confirmed already.").hint(""));
        }
        let secret = self.totp_secret(user_id, &totp)?;
        let step = totp::step_of(&secret, &tidy(answer), Time::now()).ok_or_else(wrong)?;
        let (codes, hashed) = backup_codes();
        match self.store().totp_confirm(user_id, totp.made_at, step, hashed).await? {
            true => Ok(codes),
            false => Err(wrong()),
        }
    }

    /// Other backup codes instead of those so far.
    ///
    /// # Errors
    /// `not_found` if there is no second factor that counts.
    pub(crate) async fn renew_backup_codes(&self, user_id: i64) -> Result<Codes> {
        let (codes, hashed) = backup_codes();
        match self.store().backup_codes_replace(user_id, hashed).await? {
            true => Ok(codes),
            false => Err(none_yet()),
        }
    }

    /// Whether the account has to show a second factor when it comes from there.
    /// None: it has none.
    pub(super) async fn asks_for_code(&self, user_id: i64, from: IpAddr) -> Result<Option<bool>> {
        let counts = |totp: Totp| totp.confirmed_at.is_some();
        if !self.store().totp(user_id).await?.is_some_and(counts) {
            return Ok(None);
        }
        let remembered_s = i64::try_from(self.config().ssh.remember_second_factor_s).unwrap_or(i64::MAX);
        if remembered_s == 0 {
            return Ok(Some(true));
        }
        let since = Time::from_millis(Time::now().millis().saturating_sub(remembered_s.saturating_mul(1000)));
        let address = from.to_canonical().to_string();
        Ok(Some(!self.store().address_is_remembered(user_id, address, since).await?))
    }

    /// There was a right code from there.
    pub(super) async fn remember_address(&self, user_id: i64, from: IpAddr) {
        if self.config().ssh.remember_second_factor_s == 0 {
            return;
        }
        if let Err(e) = self.store().address_remember(user_id, from.to_canonical().to_string()).await {
            tracing::warn!(error = %e, "an address is not remembered");
        }
    }

    /// Uses an answer up, if it is right: a code of the app's, or a backup code.
    /// None: it is not right, or was used before, or is not looked at: there were too
    /// many wrong ones. What was wrong is counted here.
    pub(crate) async fn spend_answer(
        &self,
        user: &User,
        from: IpAddr,
        answer: &str,
    ) -> Result<Option<Factor>> {
        let from = from.to_canonical();
        let too_many = self.inner.wrong_codes.too_many(user.id, from, Instant::now());
        if too_many || !self.lets_answer(&user.name, from).await {
            return Ok(None);
        }
        let answer = tidy(answer);
        let right = if totp::looks_like_a_code(&answer) {
            self.spend_code(user.id, &answer).await?.then_some(Factor::Code)
        } else if answer.len() == BACKUP_SIGNS {
            self.spend_backup_code(user.id, &answer).await?.then_some(Factor::BackupCode)
        } else {
            None
        };
        match right {
            Some(_) => self.inner.wrong_codes.forget(user.id, from),
            None => self.wrong_code(user, from).await,
        }
        Ok(right)
    }

    async fn spend_code(&self, user_id: i64, answer: &str) -> Result<bool> {
        let Some(totp) = self.store().totp(user_id).await? else { return Ok(false) };
        let secret = self.totp_secret(user_id, &totp)?;
        match totp::step_of(&secret, answer, Time::now()) {
            Some(step) => self.store().totp_spend(user_id, totp.made_at, step).await,
            None => Ok(false),
        }
    }

    async fn spend_backup_code(&self, user_id: i64, answer: &str) -> Result<bool> {
        let codes = self.store().backup_codes(user_id).await?;
        let found = codes.iter().find(|(_, code)| hash_of(&code.salt, answer) == code.hash);
        match found {
            Some((id, _)) => self.store().backup_code_spend(*id).await,
            None => Ok(false),
        }
    }

    /// Somebody who knows the first factor gave a wrong second: the one place
    /// where that is counted and told.
    async fn wrong_code(&self, user: &User, from: IpAddr) {
        self.inner.wrong_codes.count(user.id, from, Instant::now());
        self.wrong_answer(&user.name, from).await;
        let draft = EventDraft {
            category: Category::Authentication,
            action: "session.second_factor",
            outcome: Outcome::Failure,
            severity: Severity::Medium,
            actor: user.name.clone(),
            actor_id: Some(user.id),
            source_ip: Some(from.to_string()),
            target: None,
            session: None,
            message: String::from("A wrong code came after a right first factor."),
            details: json!({}),
        };
        self.record_wrong_code(draft, user.id).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_codes_are_found_by_their_hashes_alone() {
        let (codes, hashed) = backup_codes();
        let different: std::collections::HashSet<&str> = codes.iter().map(|c| c.as_str()).collect();
        assert_eq!((codes.len(), different.len()), (BACKUP_CODES, BACKUP_CODES));
        for (code, kept) in codes.iter().zip(&hashed) {
            assert_eq!(code.len(), BACKUP_SIGNS + 2);
            for typed in
                [code.to_string(), code.to_uppercase(), code.replace('-', " "), code.replace('-', "")]
            {
                assert_eq!(hash_of(&kept.salt, &tidy(&typed)), kept.hash, "{typed}");
            }
        }
        assert_ne!(hashed[0].salt, hashed[1].salt);
    }

    #[test]
    fn answers_may_be_anything() {
        assert_eq!(*tidy("123 456"), "123456");
        assert_eq!(*tidy(" ABCD-efgh\t"), "abcdefgh");
        assert!(tidy(&"1".repeat(10_000_000)).len() <= LONGEST_ANSWER + 1);
    }

    #[test]
    fn wrong_codes_are_counted_by_account_and_address_in_bounded_memory() {
        let (counts, now) = (WrongCodes::default(), Instant::now());
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for _ in 0..WRONG_CODES {
            assert!(!counts.too_many(1, address(1), now));
            counts.count(1, address(1), now);
        }
        assert!(counts.too_many(1, address(1), now));
        assert!(!counts.too_many(1, address(2), now) && !counts.too_many(2, address(1), now));
        assert!(!counts.too_many(1, address(1), now + WRONG_CODES_FOR));
        // A household is one.
        let host = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]);
        (0..10).for_each(|n| counts.count(2, host(n), now));
        assert!(counts.too_many(2, host(77), now));
        for n in 0..10_000 {
            counts.count(7, address(n), now + Duration::from_millis(u64::from(n)));
        }
        assert!(counts.0.lock().unwrap().len() <= MOST_COUNTED);
    }
}
