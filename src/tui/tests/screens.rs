use super::*;
#[test]
fn look() {
    for (c, r) in [(40, 12), (80, 24), (200, 50)] {
        let mut m = with_vms(c, r);
        for i in 0..30 {
            let mut l = some_vms(); l[0].1 = sample(f64::from(i*3));
            update(&mut m, Msg::Vms { all: false, list: l });
        }
        let db = m.vms.rows()[1].vm.clone();
        let show = |m: &Model, what: &str| { let (l, at) = seen(m); println!("=== {what} {c}x{r} cursor {at:?}\n{}\n---", l.iter().map(|s| format!("{s}|")).collect::<Vec<_>>().join("\n")); };
        show(&m, "plain");
        update(&mut m, Msg::Jobs(vec![job(7, "vm.start", &db, JobState::Running, 45)]));
        press(&mut m, "j");
        show(&m, "job");
        update(&mut m, Msg::Failed(crate::error::Error::new(crate::error::Code::VmBusy, "“db” is being changed by another job.")));
        show(&m, "error");
        press(&mut m, "\x1b");
        press(&mut m, "kl"); show(&m, "detail"); press(&mut m, "h");
        press(&mut m, "?"); show(&m, "help"); press(&mut m, "\x1b");
        press(&mut m, "S"); show(&m, "stop"); press(&mut m, "n");
        press(&mut m, "dweb\r"); show(&m, "destroy"); press(&mut m, "\x1b");
        press(&mut m, "n"); show(&m, "new loading"); offer(&mut m); press(&mut m, "\t"); show(&m, "new");
        update(&mut m, Msg::Refused(crate::error::Error::usage("“debian-12” wants at least 1024 MB of memory and 4 GB of disk.").hint("Choose a larger plan: `plan ls`.")));
        show(&m, "refused"); press(&mut m, "\x1b");
        press(&mut m, "/e"); show(&m, "filter"); press(&mut m, "\r"); show(&m, "filtered"); 
    }
}
