//! What is made of a failed plan's text.

use cambist_engine::failure::{FailureKind, TaskFailure};

use super::super::outcome::{Setback, setback};

#[test]
fn a_task_says_itself_what_it_failed_of() {
    let text = r#"Job failed due to stage 1 failed: Task failed 4 times: task failure: {"kind":"refused","message":"no such bucket"} and more"#;
    let Setback::Task(failure) = setback(text, None, true) else { panic!() };
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Refused, "no such bucket"));
}

#[test]
fn what_came_with_the_loss_of_an_executor_is_put_down_to_it() {
    assert_eq!(setback("connection refused", None, true), Setback::Lost("connection refused".to_owned()));
    let expected = TaskFailure { kind: FailureKind::Internal, message: "boom".to_owned(), hint: None };
    assert_eq!(setback("boom", None, false), Setback::Task(expected));
}
