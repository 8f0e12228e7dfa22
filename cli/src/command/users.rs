//! `cambist users`: who may send SQL.

use std::io::IsTerminal;
use std::process::ExitCode;

use cambist_flight::credentials::CredentialsFile;
use cambist_jobs::error::{JobError, Result};
use cambist_sql::access::Role;
use serde_json::json;

use super::serve::credentials_file;
use super::sql::failure::of_flight;
use crate::arguments::{RoleChoice, UsersArguments, UsersCommand};
use crate::output;

pub(super) fn run(arguments: UsersArguments) -> Result<ExitCode> {
    let path = credentials_file(arguments.credentials)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            JobError::usage(format!("the folder `{}` cannot be made", folder.display())).caused_by(error)
        })?;
    }
    let file = CredentialsFile::new(path);
    match arguments.command {
        UsersCommand::List => {
            for user in file.users().map_err(of_flight)? {
                output::json(&json!({
                    "name": user.name,
                    "role": user.role,
                    "has_password": user.has_password,
                    "tokens": user.tokens,
                }))?;
            }
        }
        UsersCommand::Add { name, role } => file.set_user(&name, role_of(role)).map_err(of_flight)?,
        UsersCommand::Password { name } => {
            let password = new_password(&name)?;
            file.set_password(&name, &password).map_err(of_flight)?;
        }
        UsersCommand::Token { name, revoke: true } => {
            let removed = file.remove_tokens(&name).map_err(of_flight)?;
            output::note(&format!("{removed} tokens revoked"));
        }
        UsersCommand::Token { name, revoke: false } => {
            let token = file.make_token(&name).map_err(of_flight)?;
            output::line(token.reveal())?;
        }
        UsersCommand::Remove { name } => file.remove_user(&name).map_err(of_flight)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn role_of(choice: RoleChoice) -> Role {
    match choice {
        RoleChoice::Reader => Role::Reader,
        RoleChoice::Operator => Role::Operator,
        RoleChoice::Admin => Role::Admin,
    }
}

fn new_password(name: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map_err(|error| JobError::usage("stdin has no password").caused_by(error))?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = output::ask_secret(&format!("New password of {name}: "))?;
    if output::ask_secret("The same again: ")? != password {
        return Err(JobError::usage("the two are not the same, nothing was changed"));
    }
    Ok(password)
}
