//! Stored organizations and their members.

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::users::User;
use super::{AccountError, DatabaseError, Lock, State, StateError, Writing};
use crate::clock::Timestamp;

/// The role of a member in an organization. Ordered: each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Download.
    Read,
    /// Publish and retire releases, write documentation.
    Write,
    /// Manage owners, members and keys of the organization.
    Admin,
}

impl Role {
    /// The word for the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Parses the word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// The row id.
    pub id: i64,
    /// The name; it is never reused.
    pub name: String,
    /// The time at which it was created.
    pub created_at: Timestamp,
    /// The time at which its members last changed.
    pub updated_at: Timestamp,
}

/// A member of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of the user.
    pub name: String,
    /// The email address of the user.
    pub email: Option<String>,
    /// The role in the organization.
    pub role: Role,
}

const COLUMNS: &str = "id, name, created_at, updated_at";

impl State {
    /// Creates an organization, optionally with its first administrator.
    pub async fn create_organization(
        &self,
        now: Timestamp,
        name: &str,
        first: Option<&User>,
        by: &Actor,
    ) -> Result<Organization, AccountError> {
        self.writing("create an organization", Lock::Accounts, |mut writing| async move {
            let done = writing
                .run(
                    sql("INSERT INTO organizations (name, created_at, updated_at) SELECT $1, $2, $2 \
                         WHERE NOT EXISTS (SELECT 1 FROM users WHERE name = $1) ON CONFLICT DO NOTHING")
                    .bind(name)
                    .bind(sql_time(now)),
                )
                .await?;
            if done == 0 {
                return Err(AccountError::NameTaken);
            }
            let subject = format!("org:{name}");
            writing.line(now, (Action::OrganizationCreate, &subject, "created"), by).await?;
            if let Some(user) = first {
                let add = sql("INSERT INTO members (organization_id, user_id, role) \
                     SELECT id, $2, $3 FROM organizations WHERE name = $1");
                writing.run(add.bind(name).bind(user.id).bind(Role::Admin.as_str())).await?;
                let detail = format!("{} as admin", user.name);
                writing.line(now, (Action::MemberAdd, &subject, &detail), by).await?;
            }
            writing.commit().await?;
            self.organization(name).await?.ok_or(AccountError::UnknownOrganization)
        })
        .await
    }

    /// The organization with this name.
    pub async fn organization(&self, name: &str) -> Result<Option<Organization>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM organizations WHERE name = $1");
        let row = sql(query).bind(name).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(organization).transpose())
            .map_err(StateError::query("read an organization"))
    }

    /// The organization with this row id.
    pub async fn organization_of(&self, id: i64) -> Result<Option<Organization>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM organizations WHERE id = $1");
        let row = sql(query).bind(id).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(organization).transpose())
            .map_err(StateError::query("read an organization"))
    }

    /// All organizations, sorted by name.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM organizations ORDER BY name");
        let rows = sql(query).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(organization).collect())
            .map_err(StateError::query("read the organizations"))
    }

    /// The members of an organization, sorted by name.
    pub async fn members(&self, organization: i64) -> Result<Vec<Member>, StateError> {
        let rows =
            sql("SELECT users.name, users.email, members.role FROM members JOIN users ON users.id = members.user_id \
             WHERE members.organization_id = $1 ORDER BY users.name")
            .bind(organization)
            .fetch_all(&self.pool)
            .await;
        let member =
            |row: &Row| Ok(Member { name: row.try_get(0)?, email: row.try_get(1)?, role: role(row.try_get(2)?)? });
        rows.and_then(|rows| rows.iter().map(member).collect())
            .map_err(StateError::query("read the members of an organization"))
    }

    /// The organizations of a user, sorted by name, with the user's role in each.
    pub async fn memberships(&self, user: i64) -> Result<Vec<(Organization, Role)>, StateError> {
        let rows = sql("SELECT id, name, created_at, updated_at, role FROM members \
             JOIN organizations ON organizations.id = members.organization_id WHERE members.user_id = $1 ORDER BY name")
        .bind(user)
        .fetch_all(&self.pool)
        .await;
        rows.and_then(|rows| rows.iter().map(|row| Ok((organization(row)?, role(row.try_get(4)?)?))).collect())
            .map_err(StateError::query("read the organizations of a user"))
    }

    /// Adds a member.
    pub async fn add_member(
        &self,
        now: Timestamp,
        organization: &Organization,
        user: &User,
        role: Role,
        by: &Actor,
    ) -> Result<(), AccountError> {
        self.writing("add a member", Lock::Accounts, |mut writing| async move {
            let add =
                sql("INSERT INTO members (organization_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
            if writing.run(add.bind(organization.id).bind(user.id).bind(role.as_str())).await? == 0 {
                return Err(AccountError::AlreadyMember);
            }
            let (subject, detail) =
                (format!("org:{}", organization.name), format!("{} as {}", user.name, role.as_str()));
            writing.line(now, (Action::MemberAdd, &subject, &detail), by).await?;
            touch(&mut writing, organization, now).await?;
            Ok(writing.commit().await?)
        })
        .await
    }

    /// Changes the role of a member. The last administrator keeps the role.
    pub async fn set_role(
        &self,
        now: Timestamp,
        organization: &Organization,
        user: &User,
        role: Role,
        by: &Actor,
    ) -> Result<(), AccountError> {
        self.writing("change the role of a member", Lock::Accounts, |mut writing| async move {
            let (is, _, admins) = standing(&mut writing, organization, user).await?;
            if is == Role::Admin && role != Role::Admin && admins == 1 {
                return Err(AccountError::LastAdmin);
            }
            let change = sql("UPDATE members SET role = $3 WHERE organization_id = $1 AND user_id = $2");
            writing.run(change.bind(organization.id).bind(user.id).bind(role.as_str())).await?;
            let (subject, detail) =
                (format!("org:{}", organization.name), format!("{} is {}", user.name, role.as_str()));
            writing.line(now, (Action::MemberRole, &subject, &detail), by).await?;
            touch(&mut writing, organization, now).await?;
            Ok(writing.commit().await?)
        })
        .await
    }

    /// Removes a member. The last member and the last administrator cannot be removed.
    pub async fn remove_member(
        &self,
        now: Timestamp,
        organization: &Organization,
        user: &User,
        by: &Actor,
    ) -> Result<(), AccountError> {
        self.writing("remove a member", Lock::Accounts, |mut writing| async move {
            match standing(&mut writing, organization, user).await? {
                (_, 1, _) => return Err(AccountError::LastMember),
                (Role::Admin, _, 1) => return Err(AccountError::LastAdmin),
                _ => {}
            }
            let remove = sql("DELETE FROM members WHERE organization_id = $1 AND user_id = $2");
            writing.run(remove.bind(organization.id).bind(user.id)).await?;
            let subject = format!("org:{}", organization.name);
            writing.line(now, (Action::MemberRemove, &subject, &user.name), by).await?;
            touch(&mut writing, organization, now).await?;
            Ok(writing.commit().await?)
        })
        .await
    }
}

/// The role of a member, the number of members, and the number of administrators among them.
async fn standing(
    writing: &mut Writing<'_>,
    organization: &Organization,
    user: &User,
) -> Result<(Role, i64, i64), AccountError> {
    let rows: Vec<(i64, String)> = sql_as("SELECT user_id, role FROM members WHERE organization_id = $1")
        .bind(organization.id)
        .fetch_all(writing.connection())
        .await
        .map_err(StateError::query("read the members of an organization"))?;
    let roles: Vec<(i64, Role)> = rows
        .into_iter()
        .map(|(id, word)| Ok((id, role(word)?)))
        .collect::<Result<_, DatabaseError>>()
        .map_err(StateError::query("read the members of an organization"))?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let admins = roles.iter().filter(|(_, role)| *role == Role::Admin).count();
    let (_, is) = roles.iter().find(|(id, _)| *id == user.id).ok_or(AccountError::NotMember)?;
    Ok((*is, count(roles.len()), count(admins)))
}

async fn touch(writing: &mut Writing<'_>, organization: &Organization, now: Timestamp) -> Result<(), StateError> {
    let query = sql("UPDATE organizations SET updated_at = $2 WHERE id = $1");
    writing.run(query.bind(organization.id).bind(sql_time(now))).await.map(drop)
}

fn role(word: String) -> Result<Role, DatabaseError> {
    Role::from_word(&word).ok_or_else(|| DatabaseError::decode(format!("{word:?} is not a role")))
}

fn organization(row: &Row) -> Result<Organization, DatabaseError> {
    Ok(Organization {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        created_at: from_sql_time(row.try_get(2)?),
        updated_at: from_sql_time(row.try_get(3)?),
    })
}
