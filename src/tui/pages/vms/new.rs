//! The form that makes a VM. It says what is wrong while it is typed, by the same
//! rules as the portal; what the portal refuses comes back to it.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::action::catalogue::{ImageLs, PlanLimits, PlanLs};
use crate::action::key::KeyLs;
use crate::action::vm::VmNew;
use crate::error::{Code, Error, Result};
use crate::model::name::check_tags;
use crate::model::plan::{LEAST, Limits, custom_price};
use crate::model::{Image, Job, Plan, Size, SshKey, VmName, text};
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{Fate, News, Overlay, Shared};
use crate::tui::widgets::area::Area;
use crate::tui::widgets::form::{Choice, Field, Form, Kind, Number, Reply};
use crate::tui::widgets::words;

/// The form's word.
const WORD: &str = "new";
/// What arrows add to a memory (MB) and to a disk (GB) or take away.
const STEPS: (u32, u32) = (256, 5);
/// The plan of one's own making.
const CUSTOM: &str = "custom";
/// Bytes of user data, as long as the portal has not said how many it takes.
const UNTOLD: usize = 64 * 1024;

/// What the form hears.
pub(in crate::tui) enum Heard {
    Images(Result<Vec<Image>>),
    Plans(Result<Vec<Plan>>),
    Limits(Result<Limits>),
    Keys(Result<Vec<SshKey>>),
    Made(Result<Job>),
}

/// The form's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Name,
    Image,
    Plan,
    Memory,
    Cpus,
    Disk,
    Tags,
    UserData,
    Cost,
    Keys,
    Create,
}

/// The form.
#[derive(Debug)]
pub struct NewForm {
    form: Form<Item>,
    /// None: not known yet.
    images: Option<Vec<Image>>,
    plans: Vec<Plan>,
    limits: Option<Limits>,
    /// The size of the plan that was chosen last.
    size: Size,
    /// It is asked for, and not answered yet.
    sent: bool,
}

/// Opens the form, with a name that the viewer has not taken, and looks up what
/// there is to choose from.
pub fn open(shared: &Shared) -> Vec<Effect> {
    vec![
        Effect::Open(Box::new(NewForm::new(&free_name(shared)))),
        Effect::Do(Task::new(ImageLs {}, |images| Msg::news(WORD, Heard::Images(images)))),
        Effect::Do(Task::new(PlanLs {}, |plans| Msg::news(WORD, Heard::Plans(plans)))),
        Effect::Do(Task::new(PlanLimits {}, |limits| Msg::news(WORD, Heard::Limits(limits)))),
        Effect::Do(Task::new(KeyLs {}, |keys| Msg::news(WORD, Heard::Keys(keys)))),
    ]
}

/// The first name like `vm1` that the viewer has not taken.
fn free_name(shared: &Shared) -> String {
    (1..).map(|n| format!("vm{n}")).find(|name| !is_taken(shared, name)).unwrap_or_default()
}

fn is_taken(shared: &Shared, name: &str) -> bool {
    shared.vms.rows().iter().any(|r| r.vm.owner == shared.me.name && r.vm.name == name)
}

impl NewForm {
    fn new(name: &str) -> NewForm {
        let number = |value, unit, step| Kind::Number(Number::new(value, unit, (value, value), step));
        let choice = || Kind::Choice(Choice::new(Vec::new()));
        let mut fields = vec![
            Field::new(Item::Name, "Name", Kind::suggested(name)),
            Field::new(Item::Image, "Image", choice()).noted("Looking for images…"),
            Field::new(Item::Plan, "Plan", choice()),
            Field::new(Item::Memory, "Memory", number(LEAST.ram_mb, "MB", STEPS.0)),
            Field::new(Item::Cpus, "CPUs", number(LEAST.vcpus, "", 1)),
            Field::new(Item::Disk, "Disk", number(LEAST.disk_gb, "GB", STEPS.1)),
            Field::new(Item::Tags, "Tags", Kind::line()).noted("words, with commas between"),
            Field::new(Item::UserData, "User data", Kind::Area(Area::new(UNTOLD))),
            Field::new(Item::Cost, "Cost", Kind::Info(String::new())),
            Field::new(Item::Keys, "Keys", Kind::Info(String::from("…"))),
            Field::new(Item::Create, "", Kind::Button(format!("Create {name}"))),
        ];
        for field in &mut fields {
            field.hidden = matches!(field.id, Item::Memory | Item::Cpus | Item::Disk);
        }
        let form = Form::new("create", fields);
        let mut new =
            NewForm { form, images: None, plans: Vec::new(), limits: None, size: LEAST, sent: false };
        new.about_user_data();
        new
    }

    fn image(&self) -> Option<&Image> {
        self.images.as_ref()?.get(self.form.chosen(Item::Image)?)
    }

    fn plan(&self) -> Option<&Plan> {
        self.plans.get(self.form.chosen(Item::Plan)?)
    }

    /// It is a size of one's own.
    fn is_custom(&self) -> bool {
        !self.plans.is_empty() && self.form.chosen(Item::Plan) == Some(self.plans.len())
    }

    /// The size that is asked for, as far as it is one.
    fn wanted(&self) -> Option<Size> {
        if !self.is_custom() {
            return self.plan().map(|plan| plan.size);
        }
        let number = |item| self.form.number(item);
        Some(Size { ram_mb: number(Item::Memory)?, vcpus: number(Item::Cpus)?, disk_gb: number(Item::Disk)? })
    }

    fn tags(&self) -> Vec<String> {
        let typed = self.form.text(Item::Tags);
        typed.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect()
    }

    /// Says anew what is right and wrong.
    fn check(&mut self, shared: &Shared) {
        let name = self.form.text(Item::Name).trim().to_owned();
        let wrong = match name.parse::<VmName>() {
            Ok(_) if is_taken(shared, &name) => format!("There is a VM called “{name}” already."),
            Ok(_) => String::new(),
            Err(e) => e.hint.into_owned(),
        };
        self.form.refuse(Item::Name, wrong);
        self.form.tell(Item::Create, format!("Create {}", text::short(&name, 32)));
        let tags = check_tags(&self.tags());
        self.form.refuse(Item::Tags, tags.err().map(|e| e.message).unwrap_or_default());
        self.about_size();
        self.about_user_data();
    }

    /// Says what the image wants, what the plan has, and what that costs.
    fn about_size(&mut self) {
        let custom = self.is_custom();
        for item in [Item::Memory, Item::Cpus, Item::Disk] {
            self.form.show(item, custom);
        }
        let (ram, disk) = self.image().map_or((0, 0), |i| (i.min_ram_mb, i.min_disk_gb));
        if let Some(Limits { least, most, .. }) = self.limits {
            for (item, least, most) in [
                (Item::Memory, least.ram_mb.max(ram), most.ram_mb),
                (Item::Cpus, least.vcpus, most.vcpus),
                (Item::Disk, least.disk_gb.max(disk), most.disk_gb),
            ] {
                let Some(number) = self.form.number_mut(item) else { continue };
                number.limit(least, most);
                let range = number.range();
                self.form.note(item, range);
            }
        }
        let image =
            self.image().map(|i| format!("{} At least {ram} MB, {disk} GB.", sentence(&i.description)));
        let (image, missing) = match (image, &self.images) {
            (Some(note), _) => (note, ""),
            (None, None) => (String::from("Looking for images…"), ""),
            (None, Some(_)) => (String::new(), "There is no image yet: `twarga image build` on the host."),
        };
        self.form.note(Item::Image, image);
        self.form.refuse(Item::Image, missing);
        let plan = self.plan().map(|p| p.size);
        let small = plan.zip(self.image()).and_then(|(size, image)| image.admit(size).err());
        self.form.refuse(Item::Plan, small.map(|e| e.message).unwrap_or_default());
        self.form.note(Item::Plan, plan.map_or_else(|| String::from("a size of your own"), describe));
        let price =
            if custom { self.wanted().map(custom_price) } else { self.plan().map(|p| p.credits_per_hour) };
        self.form.tell(Item::Cost, price.map_or_else(|| String::from("–"), cost));
    }

    fn about_user_data(&mut self) {
        let limits = self.limits;
        let Some(area) = self.form.area(Item::UserData) else { return };
        if let Some(limits) = limits {
            area.limit(limits.user_data_bytes);
        }
        let note = match area.lines() {
            _ if area.is_empty() => {
                String::from("A cloud-config or a script for cloud-init: type or paste it.")
            }
            1 => words::size(area.bytes() as u64),
            lines => format!("{lines} lines, {}", words::size(area.bytes() as u64)),
        };
        let cut = match area.is_cut() {
            true => "Not all that was pasted is here. `vm new --user-data -` takes it from a file.",
            false => "",
        };
        self.form.note(Item::UserData, note);
        self.form.refuse(Item::UserData, cut);
    }

    /// Begins a size of one's own with that of the plan chosen before.
    fn on_plan(&mut self) {
        if let Some(plan) = self.plan() {
            self.size = plan.size;
        } else if self.is_custom() {
            let size = self.size;
            for (item, value) in
                [(Item::Memory, size.ram_mb), (Item::Cpus, size.vcpus), (Item::Disk, size.disk_gb)]
            {
                if let Some(number) = self.form.number_mut(item) {
                    number.put(value);
                }
            }
        }
    }

    fn create(&mut self, shared: &Shared) -> Vec<Effect> {
        self.check(shared);
        if self.form.go_to_error() {
            return Vec::new();
        }
        let name = match self.form.text(Item::Name).trim().parse::<VmName>() {
            Ok(name) => name,
            Err(e) => {
                self.refused(e);
                return Vec::new();
            }
        };
        let size = self.wanted().filter(|_| self.is_custom());
        let user_data = self.form.text(Item::UserData);
        let action = VmNew {
            name,
            image: self.image().map(|i| i.name.clone()),
            plan: self.plan().map(|p| p.name.clone()),
            ram: size.map(|s| s.ram_mb),
            cpu: size.map(|s| s.vcpus),
            disk: size.map(|s| s.disk_gb),
            user_data: (!user_data.is_empty()).then_some(user_data),
            tags: self.tags(),
            no_wait: true,
        };
        self.sent = true;
        self.form.complain("");
        self.form.tell(Item::Create, "Asking for it…");
        vec![Effect::Do(Task::new(action, |made| Msg::news(WORD, Heard::Made(made))))]
    }

    /// Says what the portal refused, beside the field that it is about.
    fn refused(&mut self, e: Error) {
        let item = if matches!(e.code, Code::Exists | Code::BadName) {
            Some(Item::Name)
        } else if matches!(e.code, Code::ImageNotFound | Code::ImageInvalid) {
            Some(Item::Image)
        } else {
            (e.code == Code::PlanNotFound).then_some(Item::Plan)
        };
        match item {
            Some(item) => {
                self.form.go_to(item);
                self.form.refuse(item, e.to_string());
            }
            None => self.form.complain(e.to_string()),
        }
    }
}

impl Overlay for NewForm {
    fn word(&self) -> &'static str {
        WORD
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        if self.sent {
            return vec![("Esc", "do not wait for the answer")];
        }
        self.form.hints()
    }

    fn on_key(&mut self, key: &Key, shared: &Shared) -> (Fate, Vec<Effect>) {
        if self.sent {
            let fate = if matches!(key, Key::Esc | Key::Ctrl('c')) { Fate::Close } else { Fate::Stay };
            return (fate, Vec::new());
        }
        match self.form.on_key(key) {
            Reply::Stay => {}
            Reply::Changed(item) => {
                if item == Item::Plan {
                    self.on_plan();
                }
                self.check(shared);
            }
            Reply::Submit => return (Fate::Stay, self.create(shared)),
            Reply::Cancel => return (Fate::Close, Vec::new()),
        }
        (Fate::Stay, Vec::new())
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> (Fate, Vec<Effect>) {
        let Ok(heard) = news.downcast::<Heard>() else { return (Fate::Stay, Vec::new()) };
        match *heard {
            Heard::Images(Ok(mut images)) => {
                // First what the portal takes if nobody chooses: what is ready soonest.
                images.sort_by_key(|i| (i.name != "micro", i.size_bytes));
                self.form.set_options(Item::Image, images.iter().map(|i| text::clean(&i.name)).collect());
                self.images = Some(images);
            }
            Heard::Plans(Ok(plans)) => {
                let names = plans.iter().map(|p| text::clean(&p.name));
                self.form.set_options(Item::Plan, names.chain([String::from(CUSTOM)]).collect());
                self.plans = plans;
                self.on_plan();
            }
            Heard::Limits(Ok(limits)) => self.limits = Some(limits),
            Heard::Keys(Ok(keys)) => self.form.tell(Item::Keys, who_enters(&keys)),
            Heard::Made(Ok(job)) => return (Fate::Close, vec![Effect::Made(job)]),
            Heard::Images(Err(e)) | Heard::Plans(Err(e)) | Heard::Limits(Err(e)) | Heard::Keys(Err(e)) => {
                self.form.complain(e.to_string())
            }
            Heard::Made(Err(e)) => {
                self.sent = false;
                self.check(shared);
                self.refused(e);
                return (Fate::Stay, Vec::new());
            }
        }
        if !self.sent {
            self.check(shared);
        }
        (Fate::Stay, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        self.form.draw(frame, within, "New VM", &shared.theme);
    }
}

/// A description as a sentence.
fn sentence(words: &str) -> String {
    let words = text::clean(words.trim());
    if words.is_empty() || words.ends_with(['.', '!', '?']) { words } else { format!("{words}.") }
}

/// A size: `1 CPU, 512 MiB, 10 GB`.
fn describe(size: Size) -> String {
    let ram = words::size(u64::from(size.ram_mb) << 20);
    let cpus = if size.vcpus == 1 { "CPU" } else { "CPUs" };
    format!("{} {cpus}, {ram}, {} GB", size.vcpus, size.disk_gb)
}

/// A price, for longer times too.
fn cost(credits_per_hour: f64) -> String {
    let amount = |hours: f64| (credits_per_hour * hours * 100.0).round() / 100.0;
    let price = words::price(credits_per_hour);
    format!("{price}, {} a day, {} in 30 days", amount(24.0), amount(24.0 * 30.0))
}

/// Which keys will let their owner in.
fn who_enters(keys: &[SshKey]) -> String {
    /// Keys that are named.
    const NAMED: usize = 4;
    let name = |key: &SshKey| match key.note.trim() {
        "" => text::short(&key.fingerprint, 20),
        note => text::short(note, 24),
    };
    let names: Vec<String> = keys.iter().take(NAMED).map(name).collect();
    let more = match keys.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    match keys.len() {
        0 => String::from("You have none: the portal lets you in all the same. `key add` adds one."),
        1 => format!("{} lets you in, by a jump too.", names.join(", ")),
        _ => format!("{}{more} let you in, by a jump too.", names.join(", ")),
    }
}
