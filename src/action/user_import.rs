//! `user import`: many accounts from a list, all of them or none.

use std::collections::HashMap;

use clap::Args;
use csv::{ByteRecord, ReaderBuilder, Trim};
use serde::Serialize;
use zeroize::Zeroizing;

use super::user::secret;
use crate::error::{Code, Error, Result};
use crate::model::group::GroupName;
use crate::model::name::UserName;
use crate::model::{Category, Permission, RoleName, text};
use crate::portal::{Action, Cx, auth, keys};
use crate::store::{NewKey, NewMember, NewUser};

/// Accounts of one list, and mistakes that are told of one.
const MOST: usize = 1000;
const TOLD: usize = 200;

/// Columns, of which the first must be there.
const COLUMNS: [&str; 4] = ["name", "role", "group", "key"];

/// Make many accounts from a list
///
///   ssh PORTAL user import < class.csv
///
/// Standard input is CSV in UTF-8; its first line names the columns: name, and any of
/// role, group and key. Whoever has no key gets a one-time password, printed once.
/// Either every line is good, or nothing is made and every bad line is told.
#[derive(Debug, Args, Serialize)]
pub struct UserImport {
    /// `-`, if you like: it is read from standard input anyway
    #[arg(value_name = "-", value_parser = ["-"])]
    #[serde(skip)]
    pub from: Option<String>,
    /// Look whether it is good, and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The list itself.
    #[arg(skip)]
    #[serde(rename = "bytes", serialize_with = "length")]
    pub list: Vec<u8>,
}

/// For the audit.
fn length<S: serde::Serializer>(list: &[u8], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(list.len() as u64)
}

/// An account of the list.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// What it signs in as.
    pub name: String,
    /// What it may do.
    pub role: RoleName,
    /// The group that it is in.
    pub group: Option<GroupName>,
    /// Its key.
    pub key: Option<String>,
    /// Shown once; none if it has a key, or nothing was made.
    #[serde(serialize_with = "secret", skip_serializing_if = "Option::is_none")]
    pub one_time_password: Option<Zeroizing<String>>,
}

/// A line of the list, understood.
struct Row {
    line: u64,
    name: UserName,
    role: RoleName,
    group: Option<GroupName>,
    key: Option<NewKey>,
}

/// What is wrong, by lines.
#[derive(Default)]
struct Mistakes(Vec<(u64, String)>);

impl Mistakes {
    fn add(&mut self, line: u64, what: impl Into<String>) {
        self.0.push((line, what.into()));
    }

    fn none(mut self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort();
        let lines =
            self.0.iter().take(TOLD).map(|(line, what)| format!("line {line}: {}", text::short(what, 200)));
        let mut lines: Vec<String> = lines.collect();
        if self.0.len() > TOLD {
            lines.push(format!("and {} more", self.0.len() - TOLD));
        }
        let message = match self.0.len() {
            1 => String::from("There is a mistake in the list."),
            n => format!("There are {n} mistakes in the list."),
        };
        Err(Error::new(Code::BadList, message).lines(lines))
    }
}

fn bad_list(why: &str, hint: &'static str) -> Error {
    Error::new(Code::BadList, format!("That list cannot be read: {why}.")).hint(hint)
}

/// What stands between the columns: what a spreadsheet writes depends on its country.
fn delimiter(list: &[u8]) -> u8 {
    let head = list.split(|b| *b == b'\n').next().unwrap_or_default();
    let most = |d: &u8| head.iter().filter(|b| *b == d).count();
    [b'\t', b';', b','].into_iter().max_by_key(most).unwrap_or(b',')
}

/// The list's lines. What is wrong with a line is noted, and the others are read.
fn read(list: &[u8], mistakes: &mut Mistakes) -> Result<Vec<Row>> {
    const SAVE: &str = "Save it as “CSV UTF-8”.";
    let list = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    if list.starts_with(b"\xff\xfe") || list.starts_with(b"\xfe\xff") || list.contains(&0) {
        return Err(bad_list("it is UTF-16, or no text at all", SAVE));
    }
    let mut reader =
        ReaderBuilder::new().flexible(true).trim(Trim::All).delimiter(delimiter(list)).from_reader(list);
    let head = reader.byte_headers().map_err(|_| bad_list("its first line is broken", SAVE))?.clone();
    let mut columns = Vec::new();
    for field in &head {
        let field = std::str::from_utf8(field).map_err(|_| bad_list("its first line is not UTF-8", SAVE))?;
        let column = COLUMNS.iter().position(|c| c.eq_ignore_ascii_case(field));
        match column {
            Some(column) if columns.contains(&column) => {
                mistakes.add(1, format!("the column “{field}” stands twice"))
            }
            Some(column) => columns.push(column),
            None => mistakes.add(1, format!("there is no column “{field}”, but name, role, group and key")),
        }
    }
    if !columns.contains(&0) && mistakes.0.is_empty() {
        mistakes.add(1, "the column “name” is missing");
    }
    let mut rows = Vec::new();
    // Columns that are not known would shift the others.
    if !mistakes.0.is_empty() {
        return Ok(rows);
    }
    let mut record = ByteRecord::new();
    let mut lines = Lines { list, at: 0, line: 1 };
    loop {
        let more = reader.read_byte_record(&mut record).map_err(|_| bad_list("a line is broken", SAVE))?;
        if !more {
            return Ok(rows);
        }
        let line = lines.line_of(record.position().map_or(0, csv::Position::byte));
        if rows.len() + mistakes.0.len() >= MOST {
            let why = format!("it has more than {MOST} lines");
            return Err(bad_list(&why, "Send it in parts."));
        }
        match row(line, &record, &columns) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(what) => mistakes.add(line, what),
        }
    }
}

/// Which line a record stands in. The reader counts those that it skips, empty
/// ones, to the record after them.
struct Lines<'a> {
    list: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn line_of(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte).unwrap_or(usize::MAX);
        let empty = self.list.iter().skip(from).take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let to = from.saturating_add(empty);
        let passed = self.list.get(self.at..to).unwrap_or_default();
        self.line += passed.iter().filter(|b| **b == b'\n').count() as u64;
        self.at = to;
        self.line
    }
}

/// None: the line is empty.
fn row(line: u64, record: &ByteRecord, columns: &[usize]) -> Result<Option<Row>, String> {
    if record.iter().all(<[u8]>::is_empty) {
        return Ok(None);
    }
    if record.len() > columns.len() {
        return Err(format!("{} columns, and only {} have a name", record.len(), columns.len()));
    }
    let mut fields = [""; COLUMNS.len()];
    for (field, column) in record.iter().zip(columns) {
        let field = std::str::from_utf8(field).map_err(|_| String::from("it is not UTF-8"))?;
        if let Some(place) = fields.get_mut(*column) {
            *place = field;
        }
    }
    let [name, role, group, key] = fields;
    let said = |e: Error| e.message;
    let given = |field: &str| (!field.is_empty()).then(|| field.to_owned());
    Ok(Some(Row {
        line,
        name: name.parse::<UserName>().and_then(UserName::for_new).map_err(said)?,
        role: given(role).map_or(Ok(RoleName::USER), |role| role.parse()).map_err(said)?,
        group: given(group).map(|group| group.parse()).transpose().map_err(said)?,
        key: given(key).map(|key| keys::parse_public(&key)).transpose().map_err(said)?,
    }))
}

/// What can only be seen with the accounts, roles and groups that there are.
async fn look(cx: &Cx, rows: &[Row], mistakes: &mut Mistakes) -> Result<HashMap<GroupName, i64>> {
    let store = cx.portal.store();
    let taken: std::collections::HashSet<String> = store.users().await?.into_iter().map(|u| u.name).collect();
    let mut first: HashMap<&str, u64> = HashMap::new();
    let mut roles: HashMap<&RoleName, Option<String>> = HashMap::new();
    let mut groups: HashMap<GroupName, Option<i64>> = HashMap::new();
    for row in rows {
        let name = row.name.as_str();
        if let Some(Err(e)) = row.key.as_ref().map(|key| cx.portal.check_key(key)) {
            mistakes.add(row.line, e.message);
        }
        if taken.contains(name) {
            mistakes.add(row.line, format!("There is an account called “{name}” already."));
        }
        if let Some(before) = first.insert(name, row.line) {
            mistakes.add(row.line, format!("“{name}” stands in line {before} too."));
        }
        if !roles.contains_key(&row.role) {
            let refusal = match cx.portal.may_give(cx, &row.role).await {
                Ok(()) => None,
                Err(e) if matches!(e.code, Code::RoleNotFound | Code::Forbidden) => Some(e.message),
                Err(e) => return Err(e),
            };
            roles.insert(&row.role, refusal);
        }
        if let Some(Some(refusal)) = roles.get(&row.role) {
            mistakes.add(row.line, refusal.as_str());
        }
        let Some(group) = &row.group else { continue };
        if !groups.contains_key(group) {
            let number = match store.group_number(group.clone()).await {
                Ok(number) => {
                    cx.portal.may_fill(cx, group).await?;
                    Some(number)
                }
                Err(e) if e.code == Code::GroupNotFound => None,
                Err(e) => return Err(e),
            };
            groups.insert(group.clone(), number);
        }
        if groups.get(group).is_some_and(Option::is_none) {
            mistakes.add(row.line, format!("No group called “{group}”."));
        }
    }
    Ok(groups.into_iter().filter_map(|(name, number)| Some((name, number?))).collect())
}

impl Action for UserImport {
    const NAME: &'static str = "user.import";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Imported>;

    async fn run(self, cx: &Cx) -> Result<Vec<Imported>> {
        let list = self.list;
        let (rows, mut mistakes) = tokio::task::spawn_blocking(move || {
            let mut mistakes = Mistakes::default();
            read(&list, &mut mistakes).map(|rows| (rows, mistakes))
        })
        .await??;
        let groups = look(cx, &rows, &mut mistakes).await?;
        mistakes.none()?;
        if rows.is_empty() {
            return Err(bad_list(
                "nobody is in it",
                "Its first line names the columns: name,role,group,key.",
            ));
        }
        let mut made = Vec::with_capacity(rows.len());
        let mut members = Vec::with_capacity(rows.len());
        for row in rows {
            // One after the other, each within the limit of hashes at once: logins go on meanwhile.
            let password = (row.key.is_none() && !self.dry_run).then(auth::one_time_password);
            let password_hash = match &password {
                Some(p) => Some(cx.portal.hash(p.clone()).await?),
                None => None,
            };
            made.push(Imported {
                name: row.name.to_string(),
                role: row.role.clone(),
                group: row.group.clone(),
                key: row.key.as_ref().map(|k| k.fingerprint.clone()),
                one_time_password: password,
            });
            let user = NewUser {
                name: row.name.to_string(),
                role: row.role,
                must_change_password: password_hash.is_some(),
                password_hash,
                key: row.key,
            };
            let group_id = row.group.and_then(|group| groups.get(&group).copied());
            members.push(NewMember { user, group_id, credits: None });
        }
        if !self.dry_run {
            cx.portal.store().members_insert(members).await?;
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[u8]) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        let rows = read(list, &mut mistakes).unwrap();
        mistakes.none().unwrap();
        rows.iter().map(|r| r.name.to_string()).collect()
    }

    fn told(list: &[u8]) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        match read(list, &mut mistakes) {
            Ok(_) => mistakes.none().unwrap_err().lines,
            Err(e) => vec![e.message],
        }
    }

    #[test]
    fn lists_as_programs_write_them() {
        assert_eq!(names(b"name\nalice\nbob\n"), ["alice", "bob"]);
        assert_eq!(names(b"\xef\xbb\xbfName;Role\r\nalice;user\r\n\r\nbob;\r\n"), ["alice", "bob"]);
        assert_eq!(names(b"key\tname\n\talice"), ["alice"]);
        assert_eq!(names(b"name,group\n\"alice\", class7 \n"), ["alice"]);
    }

    #[test]
    fn every_bad_line_is_told_with_its_number() {
        let lines = told(b"name,role\nAlice,user\nbob,user\n\ncarol,user,extra\nd\xe9ric,user\ninvite,\n");
        let numbers: Vec<_> = lines.iter().map(|l| l.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(numbers, ["line 2", "line 5", "line 6", "line 7"], "{lines:#?}");
        assert!(told(b"nmae\nalice\n")[0].contains("nmae"));
        assert!(told(b"role\nuser\n")[0].contains("missing"));
        assert!(told(b"name,name\na,b\n")[0].contains("twice"));
        assert!(told(b"\xff\xfen\0a\0")[0].contains("UTF-16"));
        assert!(told("name\n\u{1b}[31m\n".as_bytes())[0].find('\u{1b}').is_none());
    }

    #[test]
    fn long_lists_end() {
        let many: String = (0..100_000).map(|i| format!("u{i}\n")).collect();
        assert!(told(format!("name\n{many}").as_bytes())[0].contains("more than 1000"));
        let bad = "?\n".repeat(900);
        let lines = told(format!("name\n{bad}").as_bytes());
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (201, "and 700 more"));
    }
}
