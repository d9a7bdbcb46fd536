//! The one table of errors: what may go wrong, under which stable code, what
//! to do next, and with which exit status a command ends.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// What every fallible function of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit status of a command; part of the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// It failed, for a reason of none of the other kinds.
    Failed = 1,
    /// The words or their form were wrong.
    Usage = 2,
    /// No such thing, or not yours to see.
    NotFound = 3,
    /// In conflict with the present state.
    Conflict = 4,
    /// Your role does not allow it.
    Forbidden = 5,
    /// Over a quota, or out of credits.
    Quota = 6,
    /// libvirt, the database or another part is down.
    Unavailable = 7,
    /// It took too long.
    TimedOut = 8,
}

macro_rules! codes {
    ($($variant:ident $code:literal $exit:ident $hint:literal;)*) => {
        /// Stable code of an error, as `--json` shows it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = concat!("`", $code, "`")] $variant,)* }

        impl Code {
            /// Every code there is, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code's stable spelling, such as `vm.not_found`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// The code of that spelling.
            pub fn parse(s: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|c| c.as_str() == s)
            }

            /// The exit status of a command that ends with this error.
            pub fn exit(self) -> Exit {
                match self { $(Code::$variant => Exit::$exit,)* }
            }

            /// What to do next, where no better hint is at hand. May be empty.
            pub fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint,)* }
            }
        }
    };
}

codes! {
    // code             as scripts see it       exit         what to do next
    Internal            "internal"              Failed       "The portal's log says more. Please report it.";
    Cancelled           "cancelled"             Failed       "";
    Interrupted         "job.interrupted"       Failed       "`job retry ID` does it again.";
    Usage               "usage"                 Usage        "`help` lists the commands.";
    UnknownCommand      "usage.unknown_command" Usage        "`help` lists the commands.";
    BadName             "usage.name"            Usage        "A VM's name: a letter, then letters, digits or `-`, at most 32, all lower case.";
    BadKey              "key.invalid"           Usage        "Paste one line of a `.pub` file, such as `ssh-ed25519 AAAA… note`.";
    BadPassword         "account.password"      Usage        "";
    BadList             "user.import"           Usage        "Nothing was made. Mend the list and send it again.";
    BadCode             "account.code"          Usage        "A code is shown for 30 seconds and works once. If none is right, look whether both clocks are.";
    NeedsConfirmation   "usage.confirm"         Usage        "Add `--yes` when you mean it.";
    NeedsTerminal       "usage.terminal"        Usage        "Ask ssh for a terminal with `-t`.";
    NotFound            "not_found"             NotFound     "";
    VmNotFound          "vm.not_found"          NotFound     "`vm ls` shows yours.";
    ImageNotFound       "image.not_found"       NotFound     "`image ls` shows what there is.";
    PlanNotFound        "plan.not_found"        NotFound     "`plan ls` shows what there is.";
    JobNotFound         "job.not_found"         NotFound     "`job ls` shows yours.";
    SessionNotFound     "session.not_found"     NotFound     "`session ls` shows yours.";
    KeyNotFound         "key.not_found"         NotFound     "`key ls` shows yours.";
    AuthorityNotFound   "ca.not_found"          NotFound     "`ca ls` shows those that are trusted.";
    UserNotFound        "user.not_found"        NotFound     "`user ls` shows the accounts.";
    BanNotFound         "ban.not_found"         NotFound     "`ban ls` shows who is banned.";
    RoleNotFound        "role.not_found"        NotFound     "`role ls` shows what there is.";
    GroupNotFound       "group.not_found"       NotFound     "`group ls` shows what there is; `account show` shows yours.";
    InviteNotFound      "invite.not_found"      NotFound     "`invite ls` shows what there is.";
    EventNotFound       "event.not_found"       NotFound     "`event ls` shows the latest.";
    Exists              "exists"                Conflict     "Choose another name.";
    VmBusy              "vm.busy"               Conflict     "`job ls` shows what it is doing; `job watch ID` waits for it.";
    VmState             "vm.state"              Conflict     "";
    VmNotRunning        "vm.not_running"        Conflict     "";
    LastAdmin           "account.last_admin"    Conflict     "Make somebody else an administrator first: `user set NAME --role admin`.";
    HasVms              "user.has_vms"          Conflict     "";
    NoRegistration      "registration.closed"   Conflict     "`[registration] mode` in the configuration says how people come by an account.";
    BadToken            "token.invalid"         Conflict     "Ask whoever gave it to you for another one.";
    RoleInUse           "role.in_use"           Conflict     "";
    RoleBuiltIn         "role.built_in"         Conflict     "Make one of your own: `role new NAME --like ROLE`.";
    GroupCycle          "group.cycle"           Conflict     "";
    JobState            "job.state"             Conflict     "`job show ID` tells how it ended.";
    MustChangePassword  "account.must_change_password" Forbidden "Sign in with a terminal, or run `account passwd`, and choose a password first.";
    SecondFactorMissing "account.second_factor_missing" Forbidden "Sign in with a terminal, or run `account totp enable` and `account totp confirm CODE`, and set one up first.";
    Forbidden           "forbidden"             Forbidden    "Ask an administrator for the permission.";
    Quota               "quota"                 Quota        "`vm destroy` frees what you no longer need.";
    BackendUnavailable  "backend.unavailable"   Unavailable  "Try again shortly; `twarga doctor` on the host tells what is wrong.";
    ImageInvalid        "image.invalid"         Unavailable  "An administrator can build it again: `twarga image build NAME`.";
    HostKeyMismatch     "vm.host_key"           Unavailable  "Something else answers at its address. Do not enter it; tell an administrator.";
    GuestUnreachable    "vm.unreachable"        Unavailable  "It may still be booting: `vm console` shows its screen.";
    DatabaseUnavailable "database.unavailable"  Unavailable  "Try again shortly; the portal's log says more.";
    DatabaseNewer       "database.newer"        Unavailable  "Start the newer twarga that made it, or restore a backup with `twarga restore`.";
    DatabaseCorrupt     "database.corrupt"      Unavailable  "Restore a backup with `twarga restore FILE`.";
    TimedOut            "timed_out"             TimedOut     "";
    Config              "config"                Usage        "`twarga config check` lists every mistake.";
}

/// An error as people and scripts see it: a code, one plain sentence, and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which kind of error.
    pub code: Code,
    /// One plain sentence, ending in a full stop.
    pub message: String,
    /// What to do next; empty if there is nothing to say.
    pub hint: Cow<'static, str>,
    /// More of them, where a whole list was looked at: a line each.
    pub lines: Vec<String>,
}

impl Error {
    /// An error with the table's own hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), hint: Cow::Borrowed(code.hint()), lines: Vec::new() }
    }

    /// The same error with a better hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same error with particulars, a line each.
    #[must_use]
    pub fn lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines;
        self
    }

    /// Words or a form that were wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Code::Usage, message)
    }

    /// An error of ours. `what` is for the log; people get a plain sentence.
    pub fn internal(what: impl fmt::Display) -> Self {
        tracing::error!(%what, "internal error");
        Error::new(Code::Internal, "Something went wrong inside the portal.")
    }

    /// The exit status of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        self.code.exit()
    }

    /// The document that `--json` writes to stderr.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            code: &'a str,
            message: &'a str,
            hint: &'a str,
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            lines: &'a [String],
        }
        #[derive(Serialize)]
        struct Document<'a> {
            error: Body<'a>,
        }
        let body =
            Body { code: self.code.as_str(), message: &self.message, hint: &self.hint, lines: &self.lines };
        serde_json::to_string(&Document { error: body }).unwrap_or_else(|_| String::from("{}"))
    }
}

/// The sentence and, where there are any, the hint and the particulars.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, " {}", self.hint)?;
        }
        self.lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Error {}

impl From<tokio::task::JoinError> for Error {
    fn from(e: tokio::task::JoinError) -> Self {
        Error::internal(e)
    }
}

/// Files of the portal itself; a full or read-only disk is named as such.
impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::StorageFull => {
                Error::new(Code::BackendUnavailable, "The portal's disk is full.")
                    .hint("An administrator must free some space; then all goes on by itself.")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                Error::new(Code::BackendUnavailable, "The portal's disk is read-only.")
                    .hint("An administrator must mend it; the host's kernel log says why.")
            }
            std::io::ErrorKind::TimedOut => Error::new(Code::TimedOut, "It took too long."),
            _ => Error::internal(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} stands twice", code.as_str());
            assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || "._".contains(c)));
        }
    }

    #[test]
    fn json_is_one_document() {
        let e = Error::new(Code::VmNotFound, "No VM called “web9”.");
        let v: serde_json::Value = serde_json::from_str(&e.to_json()).unwrap();
        assert_eq!(v["error"]["code"], "vm.not_found");
        assert_eq!(v["error"]["hint"], "`vm ls` shows yours.");
    }
}
