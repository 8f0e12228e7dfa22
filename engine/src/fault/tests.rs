//! Faults happen where and as often as they are set.

use super::armed::{Action, Fault, Faults};

fn faults(settings: &str) -> Faults {
    Faults::new(settings, None, None).unwrap()
}

#[test]
fn a_fault_happens_at_its_pass_and_only_there() {
    let armed = faults("task.writing:panic:3");
    let passes: Vec<_> = (0..5).map(|_| armed.due("task.writing")).collect();
    assert_eq!(passes, [None, None, Some(Action::Panic), None, None]);
    assert_eq!(armed.due("task.scanning"), None);
}

#[test]
fn one_with_a_star_happens_always_and_several_stand_side_by_side() {
    let armed = faults("task.scanning:io_error:*,commit.after_record:kill");
    assert_eq!(armed.due("task.scanning"), Some(Action::IoError));
    assert_eq!(armed.due("task.scanning"), Some(Action::IoError));
    assert_eq!(armed.due("commit.after_record"), Some(Action::Kill));
    assert_eq!(armed.due("commit.after_record"), None);
}

#[test]
fn a_token_lets_it_happen_once_over_all_processes() {
    let folder = tempfile::tempdir().unwrap();
    let (token, log) = (folder.path().join("token"), folder.path().join("log"));
    let process = || Faults::new("task.writing:panic:*", Some(token.clone()), Some(log.clone())).unwrap();
    let (first, second) = (process(), process());
    assert_eq!(first.due("task.writing"), Some(Action::Panic));
    assert_eq!(second.due("task.writing"), None);
    assert_eq!(first.due("task.writing"), None);
    let line = std::fs::read_to_string(&token).unwrap();
    assert!(line.starts_with("task.writing panic pid "), "{line}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), line);
}

#[test]
fn a_setting_that_could_never_fire_is_refused() {
    let refusal = |text: &str| text.parse::<Fault>().unwrap_err();
    assert!(refusal("task.writing").contains("expected point:action"));
    assert!(refusal("task.nowhere:kill").contains("unknown point"));
    assert!(refusal("task.writing:explode").contains("expected one of kill, pause, panic"));
    assert!(refusal("task.writing:kill:often").contains("expected a number or `*`"));
    assert!(refusal("commit.after_record:io_error").contains("raises no errors"));
}
