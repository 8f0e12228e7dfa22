//! The file of credentials as the command line changes it.

use std::os::unix::fs::PermissionsExt as _;

use cambist_sql::access::Role;

use super::lab::{Lab, ask, password};
use crate::FlightServerError;
use crate::client::{Connection, Login};
use crate::credentials::CredentialsFile;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_comes_in_with_password_and_token() {
    let lab = Lab::start().await;
    let file = lab.credentials();
    file.set_user("eva", Role::Operator).unwrap();
    file.set_password("eva", "a long password").unwrap();
    let token = file.make_token("eva").unwrap();
    for login in [password("eva", "a long password"), Login::Token(token.reveal().to_owned())] {
        Connection::open(&lab.settings(login)).await.unwrap();
    }
    file.set_password("eva", "another password").unwrap();
    Connection::open(&lab.settings(password("eva", "a long password"))).await.unwrap_err();

    let mut session = lab.stranger().await;
    session.handshake("eva", "another password").await.unwrap();
    ask(&mut session, "SELECT 1").await.unwrap();
    file.set_password("eva", "a third password").unwrap();
    ask(&mut session, "SELECT 1").await.expect_err("a new password ends the sessions of the old one");
}

#[test]
fn the_file_holds_hashes_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.toml");
    let file = CredentialsFile::new(&path);
    assert!(file.users().unwrap().is_empty());
    file.set_user("eva", Role::Reader).unwrap();
    file.set_password("eva", "a long password").unwrap();
    let token = file.make_token("eva").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert!(text.contains("sha256:"), "{text}");
    assert!(!text.contains("a long password") && !text.contains(token.reveal()), "{text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");

    let users = file.users().unwrap();
    assert_eq!((users[0].name.as_str(), users[0].has_password, users[0].tokens), ("eva", true, 1));
    assert_eq!(format!("{token:?}"), "NewToken(…)");
}

#[test]
fn names_passwords_and_files_that_are_not_acceptable_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.toml");
    let file = CredentialsFile::new(&path);
    for name in ["", "a:b", "a b", "a\n", &"a".repeat(65)] {
        let refused = file.set_user(name, Role::Reader).unwrap_err();
        assert!(matches!(refused, FlightServerError::Unacceptable { .. }), "{name}");
    }
    file.set_user("eva", Role::Reader).unwrap();
    let refused = file.set_password("eva", "short").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a password of 5 characters is not acceptable: expected 8 to 256 of them"
    );
    let refused = file.make_token("adam").unwrap_err();
    assert_eq!(refused.to_string(), "unknown user `adam`, expected one of: eva");

    let wrong = [
        "[users.ana]\nrole = \"queen\"\n",
        "[users.ana]\nrole = \"reader\"\npassword = \"plain\"\n",
        "[users.ana]\nrole = \"reader\"\ntokens = [\"plain\"]\n",
        "[users.ana]\nrole = \"reader\"\nsecret = \"x\"\n",
        "[users.\"a b\"]\nrole = \"reader\"\n",
    ];
    for text in wrong {
        std::fs::write(&path, text).unwrap();
        let refused = file.users().unwrap_err();
        assert!(matches!(refused, FlightServerError::Credentials { .. }), "{text}");
        assert!(!refused.to_string().contains("plain"), "{refused}");
    }
}

#[test]
fn a_file_that_others_may_read_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.toml");
    let file = CredentialsFile::new(&path);
    file.set_user("eva", Role::Reader).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    file.set_user("eva", Role::Admin).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn changes_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.toml");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let file = CredentialsFile::new(&path);
            scope.spawn(move || {
                for of_thread in 0..5 {
                    file.set_user(&format!("user-{number}-{of_thread}"), Role::Reader).unwrap();
                }
            });
        }
    });
    assert_eq!(CredentialsFile::new(&path).users().unwrap().len(), 40);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
}
