//! `preview`, which is `send --dry-run`: what a send would send now, as files to open.
//!
//! The same plan, the same composing, the same proof; no socket, no secret, and
//! nothing written outside the folder.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::{Choice, Console, Job, describe, guards, look_at_ledger};
use crate::config::Config;
use crate::exit::{self, Exit, OrExit};
use crate::gallery::{Folder, Gallery};
use crate::ledger::Reader;
use crate::plan::{Entry, Plan};
use crate::report::count;

/// How many partners who are not mailed are named on stdout.
const NAMED: u64 = 20;

/// Writes the review of what a send would do into `out`.
///
/// # Errors
/// Whatever would keep a send from sending, but for guards, which are warnings here.
pub async fn run(
    path: &Path,
    out: &Path,
    choice: &Choice,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out).or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let reader = look_at_ledger(&config, Some(folder.path()), console).await?;
    let plan = job.plan(choice, (console.clock)());
    let mut survey = job.survey(&plan, &reader).await?;
    let mut warnings = job.warnings();
    if job.partners.bad() > 0 {
        let bad = count(job.partners.bad(), "bad row");
        warnings.push(format!(
            "{bad} left out:\n{}",
            job.partners.describe_bad_rows()
        ));
    }
    for guard in guards(&job, &plan, &survey, &reader, false).await? {
        warnings.push(format!("a real send would stop: {guard}"));
    }
    let (_, changed) = job.prove(&plan, &reader, (console.clock)()).await?;
    for entry in &changed {
        warnings.push(format!(
            "{}: the message to be repeated has changed since, so a send would put it back to unknown",
            entry.partner.address
        ));
        let locale = job.composer.locale_for(&entry.partner).to_string();
        survey.due -= 1;
        if let Some(count) = survey.locales.get_mut(&locale) {
            *count -= 1;
        }
    }
    survey.locales.retain(|_, count| *count > 0);
    let changed: HashSet<u64> = changed.iter().map(|it| it.partner.line).collect();
    for warning in &warnings {
        console.warn(warning);
    }
    let lead = format!(
        "Campaign {}: what a send would mail now, {}.",
        config.campaign,
        describe(&survey)
    );
    let gallery = folder
        .begin("Preview of invitations", &lead)
        .or_exit(Exit::CannotWrite)?;
    let left_out = write(&job, &plan, &reader, &changed, gallery, console).await?;
    console.say(&format!(
        "{} would be sent, {} not mailed; look at {}",
        describe(&survey),
        count(left_out, "partner"),
        out.join("index.html").display()
    ));
    Ok(Exit::Done)
}

async fn write(
    job: &Job,
    plan: &Plan,
    reader: &Reader,
    changed: &HashSet<u64>,
    mut gallery: Gallery,
    console: &mut Console<'_>,
) -> exit::Result<u64> {
    let now = (console.clock)();
    let mut left_out = 0;
    let mut drain = plan.drain();
    while let Some(page) = drain.next_page(reader).await? {
        for entry in page {
            let why = match &entry.skip {
                Some(skip) => Some(skip.to_string()),
                None if changed.contains(&entry.partner.line) => {
                    Some("the message to be repeated has changed since".into())
                }
                None => None,
            };
            let written = match why {
                None => {
                    let id = entry.message_id(reader, job.config.sender.address.domain());
                    let date = entry.date(now);
                    let message = job
                        .composer
                        .compose(&entry.partner, &id, date)
                        .or_exit(Exit::Contradiction)?;
                    gallery.add(&message.bytes, &remark(job, &entry))
                }
                Some(why) => {
                    left_out += 1;
                    if left_out <= NAMED {
                        console.say(&format!("not mailed: {} ({why})", entry.partner.address));
                    }
                    gallery.leave_out(entry.partner.address.as_written(), &why)
                }
            };
            written
                .context("cannot write the review")
                .or_exit(Exit::CannotWrite)?;
        }
    }
    if left_out > NAMED {
        console.say(&format!(
            "not mailed: and {} more, listed in the review",
            left_out - NAMED
        ));
    }
    gallery
        .finish()
        .context("cannot write the review")
        .or_exit(Exit::CannotWrite)?;
    Ok(left_out)
}

/// Which locale was taken for which, and whether it is another try.
fn remark(job: &Job, entry: &Entry) -> String {
    let used = job.composer.locale_for(&entry.partner);
    let mut remarks = Vec::new();
    match &entry.partner.locale {
        Some(wanted) if wanted != used => remarks.push(format!("{wanted} → {used}")),
        _ => {}
    }
    if job.config.packages.len() > 1 {
        remarks.push(format!("package {}", entry.partner.package.key));
    }
    if let Some(attempts) = entry
        .standing
        .as_ref()
        .map(|it| it.attempts)
        .filter(|it| *it > 0)
    {
        remarks.push(format!("after {}", count(u64::from(attempts), "attempt")));
    }
    remarks.join(", ")
}
