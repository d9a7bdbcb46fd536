//! OpenSSH certificates of users (PROTOCOL.certkeys): what one has to say before it
//! lets somebody in, and how far it goes then. russh has verified that its holder
//! signed for it; all else is asked here.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, PublicKey};

use crate::model::limits::{AddressRule, Verb};
use crate::model::{KeyLimits, Time, text};
use crate::portal::keys::{check_kind, fingerprint, is_security_key};

/// The action that a line comes down to; none if it is no command.
pub type VerbOf = fn(&str) -> Option<Verb>;

/// What a certificate says of itself, whoever signed it.
#[derive(Debug)]
pub struct Claims {
    /// Of the key that signed it.
    pub signer: String,
    /// Of the key that it is for.
    pub key: String,
    /// Its number among its authority's.
    pub serial: u64,
    /// What it says that it is for.
    pub key_id: String,
}

/// The flag of a signature that somebody was there (PROTOCOL.u2f).
const PRESENT: u8 = 1;

impl Claims {
    pub fn of(certificate: &Certificate) -> Claims {
        Claims {
            signer: fingerprint(&PublicKey::from(certificate.signature_key().clone())),
            key: fingerprint(&PublicKey::from(certificate.public_key().clone())),
            serial: certificate.serial(),
            key_id: certificate.key_id().to_owned(),
        }
    }
}

/// How far a certificate goes for an account of that name. Where from is the
/// caller's to check, as for any key; who signed it, and whether that counts, too.
///
/// # Errors
/// Why it does not let in: for the log, and for administrators.
pub fn limits(
    certificate: &Certificate,
    name: &str,
    now: Time,
    verb_of: VerbOf,
) -> Result<KeyLimits, &'static str> {
    if certificate.cert_type() != CertType::User {
        return Err("it is not for users");
    }
    check_kind(&PublicKey::from(certificate.public_key().clone())).map_err(|_| "its key is too weak")?;
    signed_well(certificate)?;
    // Whoever names nobody does not mean everybody.
    if !certificate.valid_principals().iter().any(|p| p == name) {
        return Err("it names others, or nobody");
    }
    let mut limits = KeyLimits { expires_at: validity(certificate, now)?, ..KeyLimits::default() };
    for (option, value) in certificate.critical_options().iter() {
        match option.as_str() {
            "source-address" => {
                limits.from = AddressRule::list(value).map_err(|_| "its source-address cannot be read")?;
            }
            "force-command" => {
                let verb = verb_of(value).ok_or("its force-command is none of the commands here")?;
                limits.verbs = vec![verb];
                limits.forced = Some(value.clone());
            }
            // Whether a PIN was given is in the signature, that nobody is shown here.
            "verify-required" => return Err("it demands a PIN, and that cannot be seen here"),
            _ => return Err("it has an option that is not known here"),
        }
    }
    let permits = |extension: &str| certificate.extensions().contains_key(extension);
    limits.no_pty = !permits("permit-pty");
    limits.no_forwarding = !permits("permit-port-forwarding");
    limits.no_agent = !permits("permit-agent-forwarding");
    Ok(limits)
}

/// Until when it is valid; none: for ever.
fn validity(certificate: &Certificate, now: Time) -> Result<Option<Time>, &'static str> {
    let now_s = u64::try_from(now.millis() / 1000).unwrap_or(0);
    if now_s < certificate.valid_after() {
        return Err("it is not valid yet");
    }
    if now_s >= certificate.valid_before() {
        return Err("it has expired");
    }
    // What is later than any clock is for ever.
    let end = i64::try_from(certificate.valid_before()).ok().and_then(|s| s.checked_mul(1000));
    Ok(end.map(Time::from_millis))
}

fn signed_well(certificate: &Certificate) -> Result<(), &'static str> {
    certificate.verify_signature().map_err(|_| "its signature is wrong")?;
    let signature = certificate.signature();
    match signature.algorithm() {
        Algorithm::Rsa { hash: None } => Err("it is signed with SHA-1"),
        // The last five bytes are the flags, and a counter.
        sk if is_security_key(&sk) => match signature.as_bytes().iter().rev().nth(4) {
            Some(flags) if flags & PRESENT != 0 => Ok(()),
            _ => Err("its authority was not touched to sign"),
        },
        _ => Ok(()),
    }
}

/// A key id in a few words that may stand in a row and on a terminal.
pub fn shown(key_id: &str) -> String {
    text::short(key_id, 80)
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::rand_core::UnwrapErr;

    use super::*;

    const NOW: Time = Time::from_millis(1_784_000_000_500);
    const NOW_S: u64 = 1_784_000_000;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut UnwrapErr(rand::rngs::SysRng), Algorithm::Ed25519).unwrap()
    }

    fn signed(valid: (u64, u64), what: impl FnOnce(&mut Builder)) -> Certificate {
        let mut builder = Builder::new([7; 16], key().public_key().clone(), valid.0, valid.1).unwrap();
        builder.serial(7).unwrap().key_id("for tests").unwrap().cert_type(CertType::User).unwrap();
        what(&mut builder);
        builder.sign(&key()).unwrap()
    }

    fn alices(builder: &mut Builder) {
        builder.valid_principal("bob").unwrap().valid_principal("alice").unwrap();
    }

    fn read(certificate: &Certificate) -> Result<KeyLimits, &'static str> {
        limits(certificate, "alice", NOW, |line| line.parse().ok())
    }

    #[test]
    fn times_to_the_second_and_to_the_end_of_them() {
        let valid = |from, to| read(&signed((from, to), alices)).map(|l| l.expires_at.map(Time::millis));
        assert_eq!(valid(NOW_S, NOW_S + 1), Ok(Some(1_784_000_001_000)));
        assert_eq!(valid(NOW_S + 1, NOW_S + 2), Err("it is not valid yet"));
        assert_eq!(valid(NOW_S - 2, NOW_S), Err("it has expired"));
        assert_eq!(valid(0, u64::MAX), Ok(None));
        // What no clock shows is no way around them.
        assert_eq!(valid(u64::MAX - 1, u64::MAX), Err("it is not valid yet"));
        assert_eq!(valid(0, 1), Err("it has expired"));
        assert_eq!(valid(0, i64::MAX.cast_unsigned()), Ok(None));
    }

    #[test]
    fn nobody_is_not_everybody() {
        let always = (0, u64::MAX);
        let nobody = signed(always, |b| {
            b.all_principals_valid().unwrap();
        });
        assert_eq!(read(&nobody), Err("it names others, or nobody"));
        let bob = signed(always, |b| {
            b.valid_principal("bob").unwrap();
        });
        assert_eq!(read(&bob), Err("it names others, or nobody"));
    }

    #[test]
    fn options_and_extensions() {
        let always = (0, u64::MAX);
        let of = |option: &'static str, value: &'static str| {
            read(&signed(always, |b| {
                alices(b);
                b.critical_option(option, value).unwrap();
            }))
        };
        let plain = read(&signed(always, alices)).unwrap();
        assert!(plain.no_pty && plain.no_forwarding && plain.no_agent && !plain.narrows());
        assert_eq!(of("source-address", "10.0.0.0/8,::1").unwrap().words(), "from 10.0.0.0/8,::1");
        for bad in ["", "far away", "10.0.0.0/8;", "!10.0.0.0/8"] {
            assert_eq!(of("source-address", bad), Err("its source-address cannot be read"));
        }
        let forced = of("force-command", "vm ls").unwrap();
        assert!(forced.narrows() && forced.covers("vm.ls") && !forced.covers("vm.ssh"));
        assert!(of("force-command", "/bin/sh").is_err() && of("verify-required", "").is_err());
        assert!(of("tea@example.com", "").is_err());
        let permitted = signed(always, |b| {
            alices(b);
            b.extension("permit-port-forwarding", "").unwrap();
            b.extension("permit-pty", "").unwrap().extension("tea@example.com", "").unwrap();
        });
        let permitted = read(&permitted).unwrap();
        assert!(!permitted.no_pty && !permitted.no_forwarding && permitted.no_agent);
    }

    #[test]
    fn a_signature_over_something_else() {
        let (a, b) = (signed((0, u64::MAX), alices), signed((0, u64::MAX), alices));
        let (a, b) = (a.to_bytes().unwrap(), b.to_bytes().unwrap());
        // The body of one with the signature of the other: both end alike.
        let signature = 4 + 4 + 11 + 4 + 64;
        let forged = [&a[..a.len() - signature], &b[b.len() - signature..]].concat();
        let forged = Certificate::from_bytes(&forged).unwrap();
        assert_eq!(read(&forged), Err("its signature is wrong"));
    }
}
