//! Passwords: what may be chosen, and how they are kept and checked.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::model::User;
use crate::portal::{Portal, Principal};
use crate::store::Credentials;

/// Argon2id's cost: the second choice of RFC 9106 §4 scaled to about 50 ms on
/// one core of a present machine: 32 MiB, 3 passes, 1 lane.
///
/// Not less memory: what is smaller than 32 MiB glibc may take from a heap of
/// the thread's and keep there, and guessers would make it keep one for each of
/// many threads.
const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 3;
/// The longest password that is looked at, bytes.
pub const LONGEST_PASSWORD: usize = 1024;
/// The shortest that may be chosen, characters (NIST SP 800-63B §3.1.1.2 asks for 8 at least).
pub const SHORTEST_PASSWORD: usize = 10;

/// Names from this length on may not stand in a password; shorter ones stand in any.
const NAME_IN_IT: usize = 4;
/// More than 10⁸ guesses: years of a core, at the cost of a hash.
const HARD_ENOUGH: zxcvbn::Score = zxcvbn::Score::Three;

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string of a password. Takes about 50 ms of a core: call it off the async workers.
pub fn hash_password(password: &str) -> Result<String> {
    Ok(argon2()?.hash_password(password.as_bytes()).map_err(Error::internal)?.to_string())
}

fn verify_password(password: &str, hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    // The parameters are those in the hash.
    argon2().is_ok_and(|a| a.verify_password(password.as_bytes(), &parsed).is_ok())
}

/// Whether a password may be chosen. No classes of characters are asked for: what
/// counts is how many guesses it stands, by lists of words, names, keyboards, dates.
/// Reads those lists at first, and takes up to some milliseconds: call it off the
/// async workers.
///
/// # Errors
/// `account.password`, saying why not.
pub fn check_new_password(password: &str, user_name: &str) -> Result<()> {
    let bad = |why: String| Err(Error::new(Code::BadPassword, why));
    if password.chars().count() < SHORTEST_PASSWORD {
        return bad(format!("A password has at least {SHORTEST_PASSWORD} characters."));
    }
    if password.len() > LONGEST_PASSWORD {
        return bad(format!("A password has at most {LONGEST_PASSWORD} bytes."));
    }
    if user_name.len() >= NAME_IN_IT && password.to_lowercase().contains(user_name) {
        return bad(String::from("That password is too easy to guess: the account's name is in it."));
    }
    let guessed = zxcvbn::zxcvbn(password, &[user_name, "twarga"]);
    if guessed.score() >= HARD_ENOUGH {
        return Ok(());
    }
    let why = guessed.feedback().and_then(zxcvbn::feedback::Feedback::warning);
    let why = why.map(|w| format!(" {w}")).unwrap_or_default();
    let e = Error::new(Code::BadPassword, format!("That password is too easy to guess.{why}"));
    Err(e.hint("A few words that do not belong together are hard to guess and easy to keep."))
}

/// A password of 80 random bits, easy to read aloud: `kfbq-7w2m-…`.
pub fn one_time_password() -> Zeroizing<String> {
    // Without i, l, o and 1, which look like others; 32 signs are 5 bits each.
    const SIGNS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let bytes: [u8; 16] = rand::random();
    let mut text = Zeroizing::new(String::with_capacity(19));
    for (i, b) in bytes.iter().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push('-');
        }
        text.push(SIGNS.get(usize::from(b % 32)).map_or('x', |c| char::from(*c)));
    }
    text
}

/// Whether a hash was made at another cost than hashes are made at now.
fn is_of_old(hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    let now = Params::new(MEMORY_KIB, PASSES, 1, None);
    let same = parsed.algorithm.as_str() == Algorithm::Argon2id.as_str()
        && parsed.version == Some(Version::V0x13.into())
        && Params::try_from(&parsed).is_ok_and(|p| {
            now.is_ok_and(|n| (p.m_cost(), p.t_cost(), p.p_cost()) == (n.m_cost(), n.t_cost(), n.p_cost()))
        });
    !same
}

impl Portal {
    /// The account, if the password is its own. Costs the same for every name.
    pub async fn check_password(&self, name: &str, password: Zeroizing<String>) -> Result<Option<User>> {
        Ok(self.credentials_for(name, password).await?.map(|c| c.user))
    }

    /// Whether that is the password of whoever asks, who is signed in: within what the
    /// guard lets anybody try.
    pub(crate) async fn check_own_password(
        &self,
        who: &Principal,
        password: Zeroizing<String>,
    ) -> Result<bool> {
        let (name, from) = (who.name(), who.source_ip());
        if !self.lets_try(name, from).await {
            return Ok(false);
        }
        let right = self.check_password(name, password).await?.is_some();
        if !right {
            self.wrong(name, from);
        }
        Ok(right)
    }

    /// The same as [`Portal::check_password`] for signing in, which an account may be
    /// kept from doing by a password: with the same answer, after the same work. The
    /// hash beside it is the one that is kept now.
    pub(super) async fn check_login(
        &self,
        name: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<(User, String)>> {
        let found = self.credentials_for(name, password.clone()).await?;
        let Some(c) = found.filter(|c| c.password_login) else { return Ok(None) };
        let Some(hash) = c.password_hash else { return Ok(None) };
        if !is_of_old(&hash) {
            return Ok(Some((c.user, hash)));
        }
        if let Some(new) = self.rehash(c.user.id, hash.clone(), password.clone()).await {
            return Ok(Some((c.user, new)));
        }
        // Somebody was faster, by this password or by another one.
        let found = self.credentials_for(name, password).await?.filter(|c| c.password_login);
        Ok(found.and_then(|c| Some((c.user, c.password_hash?))))
    }

    async fn credentials_for(&self, name: &str, password: Zeroizing<String>) -> Result<Option<Credentials>> {
        let began = std::time::Instant::now();
        let found = self.store().credentials(name.to_owned()).await?;
        let decoy = self.inner.decoy_hash.clone();
        let checked = self.inner.hashing.run(move || {
            let hash = found.as_ref().and_then(|c| c.password_hash.as_deref());
            let known = hash.is_some();
            let too_long = password.len() > LONGEST_PASSWORD;
            let tried = if too_long { "" } else { password.as_str() };
            let right = verify_password(tried, hash.unwrap_or(&decoy));
            found.filter(|c| c.user.enabled && known && right && !too_long)
        });
        let checked = checked.await;
        self.inner.gate.took(began.elapsed());
        checked
    }

    /// Hashes a password at today's cost, when somebody has just shown it. None: it is
    /// not the one of that old hash any more, or is kept so.
    async fn rehash(&self, user_id: i64, old: String, password: Zeroizing<String>) -> Option<String> {
        let done = match self.hash(password).await {
            Ok(new) => self.store().rehash(user_id, old, new.clone()).await.map(|kept| kept.then_some(new)),
            Err(e) => Err(e),
        };
        done.unwrap_or_else(|e| {
            tracing::warn!(error = %e, user_id, "a password is kept at its old cost");
            None
        })
    }

    /// Hashes a password, within the limit of hashes at once.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String> {
        self.inner.hashing.run(move || hash_password(&password)).await?
    }

    /// The hash of a password that may be chosen.
    ///
    /// # Errors
    /// Those of [`check_new_password`].
    pub async fn hash_new(&self, password: Zeroizing<String>, user_name: &str) -> Result<String> {
        let name = user_name.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            check_new_password(&password, &name)?;
            Ok::<_, Error>(password)
        });
        self.hash(checked.await??).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify_password("correct horse", &hash));
        assert!(!verify_password("wrong horse", &hash));
        assert!(!verify_password("", "not a hash"));
    }

    #[test]
    fn passwords_that_may_not_be_chosen() {
        let long = "x1y2".repeat(400);
        let guessed = [
            "aaaaaaaaaaaaaaa",
            "alice-alice-1",
            "mypassword1",
            "Passw0rd123!",
            "the Alice is here",
            "qwertyuiop[]",
            "Summer2024!",
        ];
        for bad in ["", "short", "\u{1f98a}\u{1f98a}", &long].into_iter().chain(guessed) {
            let e = check_new_password(bad, "alice").unwrap_err();
            assert_eq!(e.code, Code::BadPassword);
            assert!(bad.is_empty() || !e.to_string().contains(bad), "{e}");
        }
        for good in ["seven brown foxes", "alle meine entchen schwimmen", "日本語の長い合い言葉です"]
        {
            assert!(check_new_password(good, "alice").is_ok(), "{good}");
        }
    }

    #[test]
    fn hashes_of_another_cost_are_known() {
        assert!(!is_of_old(&hash_password("correct horse").unwrap()));
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let old = cheap.hash_password(b"correct horse").unwrap().to_string();
        assert!(is_of_old(&old) && verify_password("correct horse", &old));
        assert!(!is_of_old("nonsense"));
    }

    #[test]
    fn one_time_passwords_may_be_chosen() {
        let p = one_time_password();
        assert_eq!(p.len(), 19);
        assert!(check_new_password(&p, "alice").is_ok());
    }
}
