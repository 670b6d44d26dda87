//! The parts of the report that need neither ledger nor templates.

use jiff::SignedDuration;

use super::steps::{Group, steps};
use super::*;
use crate::address::Address;
use crate::invitation::{
    Access, AccessBy, AccessState, Event, Identity, Invitee, Occasion, Record, Standing, State,
};
use crate::link::PackageId;

fn at(minutes: i64) -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

fn event(minutes: i64, from: Option<State>, to: State, code: Option<u16>) -> Event {
    Event {
        at: at(minutes),
        from,
        to,
        phase: code.map(|_| "dot".into()),
        smtp_code: code,
        enhanced_code: None,
        reply: code.map(|_| "text".into()),
        relay: None,
        message_id: "id@a.example".into(),
        note: None,
    }
}

/// An invitation that was deferred, then accepted, and then bounced.
fn bounced(name: &str) -> InvitationRow {
    let package = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
    let history = vec![
        event(0, None, State::Pending, None),
        event(1, Some(State::Pending), State::Deferred, Some(450)),
        event(9, Some(State::Deferred), State::Armed, None),
        event(10, Some(State::Armed), State::Accepted, Some(250)),
        event(60, Some(State::Accepted), State::Bounced, None),
        event(61, Some(State::Bounced), State::Bounced, None),
    ];
    InvitationRow {
        mail: MailRow {
            record: Record {
                id: 1,
                identity: Identity::new("spring", package, &Address::parse("a@a.example").unwrap()),
                invitee: Invitee {
                    package: "plans".into(),
                    email: "a@a.example".into(),
                    name: Some(name.into()),
                    organization: None,
                    locale: Some("fr-CA".into()),
                    template_locale: "fr".into(),
                },
                created_at: at(0),
                accepted_at: Some(at(10)),
                standing: Standing {
                    state: State::Bounced,
                    message_id: "id@a.example".into(),
                    attempts: 2,
                    updated_at: at(61),
                    ..Standing::default()
                },
                latest: history[5].clone(),
            },
            history,
            text_verified: Some(true),
        },
        reminders: Vec::new(),
        package: "plans".into(),
        listed: Some(true),
        access: None,
    }
}

fn written(format: CampaignFormat, rows: &[InvitationRow]) -> String {
    let mut report = CampaignReport::begin(format, "spring", tempfile::tempfile().unwrap());
    for row in rows {
        report.add(row).unwrap();
    }
    let out = tempfile::NamedTempFile::new().unwrap();
    report.finish(&Parts::default(), out.as_file()).unwrap();
    std::fs::read_to_string(out.path()).unwrap()
}

#[test]
fn an_attempt_is_one_step_with_its_result() {
    let row = bounced("Ada");

    let steps = steps(&row);
    let steps: Vec<_> = steps
        .iter()
        .map(|it| (it.at, it.what.as_str(), it.group, it.reply.as_str()))
        .collect();

    assert_eq!(
        steps,
        [
            (at(0), "recorded", Some(Group::Open), ""),
            (at(1), "deferred", Some(Group::Open), "450 text"),
            (
                at(10),
                "accepted, attempt 2",
                Some(Group::Reached),
                "250 text"
            ),
            (at(60), "bounced", Some(Group::Failed), ""),
            (at(61), "note", None, ""),
        ]
    );
}

#[test]
fn a_message_without_a_recorded_reply_is_a_step() {
    let mut row = bounced("Ada");
    row.mail.history.truncate(3);
    let steps = steps(&row);
    assert_eq!(steps.last().unwrap().what, "handed over, no reply recorded");
}

#[test]
fn every_format_is_known_as_a_report_and_nothing_else_is() {
    for format in [
        CampaignFormat::Html,
        CampaignFormat::Json,
        CampaignFormat::Csv,
    ] {
        for rows in [&[][..], &[bounced("Ada")]] {
            let report = written(format, rows);
            assert!(is_report(report.as_bytes()), "{format:?}: {report}");
        }
    }
    for other in [
        "",
        "<!DOCTYPE html>\n<html lang=\"en\">",
        "{}",
        "\u{feff}package,package_id",
    ] {
        assert!(!is_report(other.as_bytes()), "{other}");
    }
}

#[test]
fn the_sums_grow_with_time() {
    let mut tally = Tally::default();
    tally.add(&bounced("Ada"));
    tally.add(&bounced("Bob"));

    let points = |minutes| {
        let points = tally.points(minutes, 0).into_iter();
        let points = points.map(|it| (it.at.as_second() / 60, it.sums));
        points.collect::<Vec<_>>()
    };
    assert_eq!(
        points(1),
        [
            (1, [2, 0, 0, 0, 0]),
            (11, [2, 2, 0, 0, 0]),
            (61, [2, 2, 0, 0, 2])
        ]
    );
    assert_eq!(points(60), [(60, [2, 2, 0, 0, 0]), (120, [2, 2, 0, 0, 2])]);
    // A day that begins an hour before it does in UTC.
    assert_eq!(tally.points(24 * 60, 60)[0].at, at(23 * 60));
    assert_eq!(tally.in_state(State::Bounced), 2);
    assert_eq!(tally.groups(), [0, 0, 0, 2, 0]);
}

#[test]
fn rows_stand_in_tables_of_fifty_that_are_closed() {
    for (rows, tables) in [(0, 0), (1, 1), (50, 1), (51, 2)] {
        let all: Vec<_> = (0..rows).map(|_| bounced("Ada")).collect();
        let page = written(CampaignFormat::Html, &all);
        assert_eq!(
            page.matches("<div class=\"chunk\">").count(),
            tables,
            "{rows}"
        );
        assert_eq!(
            page.matches("<table").count(),
            page.matches("</table>").count()
        );
        assert_eq!(page.matches("<tr data-state").count(), rows);
    }
}

#[test]
fn the_columns_of_the_csv_are_an_interface() {
    let csv = written(CampaignFormat::Csv, &[bounced("=1+1")]);
    let mut lines = csv.lines();
    assert_eq!(
        lines.next().unwrap(),
        "\u{feff}campaign,recorded_at,package,package_id,email,name,organization,locale,template_locale,state,listed,attempts,first_attempt_at,accepted_at,delivered_at,bounced_at,updated_at,next_attempt_at,smtp_code,enhanced_code,reply,relay,note,message_id,text_verified,access,access_at,access_by,access_requested_at,reminded,reminded_at"
    );
    assert_eq!(
        lines.next().unwrap(),
        "spring,1970-01-01T00:00:00Z,plans,8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11,a@a.example,'=1+1,,fr-CA,fr,bounced,true,2,1970-01-01T00:01:00Z,1970-01-01T00:10:00Z,,1970-01-01T01:00:00Z,1970-01-01T01:01:00Z,,,,,,,id@a.example,true,,,,,0,"
    );
}

#[test]
fn reminders_and_access_are_steps_in_the_order_of_time() {
    let mut row = bounced("Ada");
    let mut reminder = bounced("Ada").mail;
    reminder.record.identity = reminder.record.identity.on(Occasion::Reminder(1));
    reminder.history = vec![
        event(20, None, State::Pending, None),
        event(21, Some(State::Pending), State::Armed, None),
        event(22, Some(State::Armed), State::Accepted, Some(250)),
    ];
    row.reminders = vec![reminder];
    let access = |state, by| Access {
        state,
        by: Some(by),
        at: Some(at(31)),
        requested_at: Some(at(30)),
    };
    let said = |row: &InvitationRow| {
        let steps = steps(row);
        let later = steps
            .into_iter()
            .filter(|it| (20..60).contains(&(it.at.as_second() / 60)));
        later.map(|it| it.what).collect::<Vec<_>>()
    };

    for (state, by, expected) in [
        (AccessState::None, AccessBy::Address, &[][..]),
        (
            AccessState::Requested,
            AccessBy::Address,
            &["access requested"],
        ),
        (
            AccessState::Granted,
            AccessBy::Address,
            &["access requested", "access granted"],
        ),
        (
            AccessState::Denied,
            AccessBy::Colleague,
            &[
                "access requested by a colleague",
                "access denied to a colleague",
            ],
        ),
        (
            AccessState::Failed,
            AccessBy::Address,
            &["access requested", "assignment of access failed"],
        ),
    ] {
        let mut found = access(state, by);
        if state == AccessState::None {
            found = Access::default();
        }
        row.access = Some(found);
        let expected = [&["reminder 1 accepted"], expected].concat();
        assert_eq!(said(&row), expected);
    }
}
