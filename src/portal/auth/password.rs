//! Passwords: what may be chosen, and how they are kept and checked.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::model::User;
use crate::portal::Portal;

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

/// Whether a password may be chosen.
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
    let lower = password.to_lowercase();
    let repeated = password.chars().collect::<std::collections::HashSet<_>>().len() < 4;
    if repeated || lower.contains(user_name) || lower.contains("password") || lower.starts_with("1234567890")
    {
        return bad(String::from("That password is too easy to guess."));
    }
    Ok(())
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

impl Portal {
    /// The account, if the password is its own. Costs the same for every name.
    pub async fn check_password(&self, name: &str, password: Zeroizing<String>) -> Result<Option<User>> {
        let found = self.store().credentials(name.to_owned()).await?;
        let _permit = self.inner.hashing.acquire().await.map_err(Error::internal)?;
        let decoy = self.inner.decoy_hash.clone();
        tokio::task::spawn_blocking(move || {
            let (user, hash) = match found {
                Some(c) => (Some(c.user), c.password_hash),
                None => (None, None),
            };
            let known = hash.is_some();
            let too_long = password.len() > LONGEST_PASSWORD;
            let tried = if too_long { "" } else { password.as_str() };
            let right = verify_password(tried, hash.as_deref().unwrap_or(&decoy));
            Ok(user.filter(|u| u.enabled && known && right && !too_long))
        })
        .await?
    }

    /// Hashes a password, within the limit of hashes at once.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String> {
        let _permit = self.inner.hashing.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || hash_password(&password)).await?
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
        for bad in ["short", "aaaaaaaaaaaaaaa", "alice-alice-1", "mypassword1", &"x1y2".repeat(400)] {
            assert!(check_new_password(bad, "alice").is_err(), "{bad}");
        }
        assert!(check_new_password("seven brown foxes", "alice").is_ok());
    }

    #[test]
    fn one_time_passwords_may_be_chosen() {
        let p = one_time_password();
        assert_eq!(p.len(), 19);
        assert!(check_new_password(&p, "alice").is_ok());
    }
}
