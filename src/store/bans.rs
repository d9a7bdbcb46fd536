//! Bans, and the addresses that accounts have signed in from.

use rusqlite::{OptionalExtension, Row, Transaction};

use super::{Store, unknown_word};
use crate::error::Result;
use crate::model::session::LastLogin;
use crate::model::{Ban, Network, Time};

/// Addresses that are remembered of one account.
const ADDRESSES: u32 = 16;

fn ban(r: &Row<'_>) -> rusqlite::Result<Ban> {
    let network: String = r.get(0)?;
    Ok(Ban {
        network: network.parse().map_err(|_| unknown_word(0, &network))?,
        since: Time::from_millis(r.get(1)?),
        until: r.get::<_, Option<i64>>(2)?.map(Time::from_millis),
        strikes: r.get(3)?,
        by: r.get(4)?,
        note: r.get(5)?,
    })
}

fn forget(t: &Transaction<'_>, networks: &[Network]) -> Result<()> {
    let mut delete = t.prepare_cached("DELETE FROM bans WHERE network = ?1")?;
    for network in networks {
        delete.execute([network.to_string()])?;
    }
    Ok(())
}

/// Remembers where the account signs in from; where and when it last did before.
pub(super) fn signed_in_from(t: &Transaction<'_>, user_id: i64, address: &str) -> Result<Option<LastLogin>> {
    let Ok(ip) = address.parse() else { return Ok(None) };
    let sql = "SELECT seen_at, address FROM login_addresses WHERE user_id = ?1 ORDER BY seen_at DESC LIMIT 1";
    let before = t
        .prepare_cached(sql)?
        .query_row([user_id], |r| Ok(LastLogin { at: Time::from_millis(r.get(0)?), from: r.get(1)? }))
        .optional()?;
    let sql = "INSERT INTO login_addresses (user_id, network, address, seen_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (user_id, network) DO UPDATE SET address = excluded.address, seen_at = excluded.seen_at";
    let network = Network::of(ip).to_string();
    t.prepare_cached(sql)?.execute((user_id, network, address, Time::now().millis()))?;
    let sql = "DELETE FROM login_addresses WHERE user_id = ?1 AND network NOT IN
        (SELECT network FROM login_addresses WHERE user_id = ?1 ORDER BY seen_at DESC LIMIT ?2)";
    t.prepare_cached(sql)?.execute((user_id, ADDRESSES))?;
    Ok(before)
}

impl Store {
    /// Every ban that is written down.
    pub async fn bans(&self) -> Result<Vec<Ban>> {
        self.read(|c| {
            let sql = "SELECT network, since, until, strikes, made_by, note FROM bans";
            Ok(c.prepare_cached(sql)?.query_map([], ban)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Writes a ban down, in place of one of the same network, and forgets those that
    /// made room for it. The guard's does not take the place of somebody's that holds.
    pub async fn ban_keep(&self, ban: Ban, gone: Vec<Network>) -> Result<()> {
        self.write(move |t| {
            forget(t, &gone)?;
            let sql = "INSERT INTO bans (network, since, until, strikes, made_by, note)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (network) DO UPDATE SET since = excluded.since, until = excluded.until,
                    strikes = excluded.strikes, made_by = excluded.made_by, note = excluded.note
                WHERE excluded.made_by IS NOT NULL OR bans.made_by IS NULL OR bans.until <= excluded.since";
            let until = ban.until.map(Time::millis);
            let values =
                (ban.network.to_string(), ban.since.millis(), until, ban.strikes, &ban.by, &ban.note);
            t.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })
        .await
    }

    /// Forgets bans.
    pub async fn bans_forget(&self, networks: Vec<Network>) -> Result<()> {
        if networks.is_empty() {
            return Ok(());
        }
        self.write(move |t| forget(t, &networks)).await
    }

    /// Whether the account of that name has signed in from there since; `or_factor`: or
    /// has a second factor. One query for all names.
    pub async fn is_known_from(
        &self,
        name: String,
        network: Network,
        since: Time,
        or_factor: bool,
    ) -> Result<bool> {
        self.read(move |c| {
            let sql = "SELECT EXISTS (SELECT 1 FROM users u JOIN login_addresses a ON a.user_id = u.id
                    WHERE u.name = ?1 AND a.network = ?2 AND a.seen_at >= ?3)
                OR (EXISTS (SELECT 1 FROM users u JOIN totp f ON f.user_id = u.id
                    WHERE u.name = ?1 AND f.confirmed_at IS NOT NULL) AND ?4)";
            let values = (name, network.to_string(), since.millis(), or_factor);
            Ok(c.prepare_cached(sql)?.query_row(values, |r| r.get(0))?)
        })
        .await
    }
}
