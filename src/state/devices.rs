//! Stored device codes of the OAuth device flow.

use std::net::IpAddr;
use std::time::Duration;

use super::audit::{Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::tokens::{SessionRow, begin};
use super::{DatabaseError, Lock, State, StateError};
use crate::clock::Timestamp;

/// A device's request for access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The hash of its device code.
    pub hash: String,
    /// The code that the user enters.
    pub user_code: String,
    /// The id of the client.
    pub client: String,
    /// The requested scope; after approval, the granted one.
    pub scopes: String,
    /// The name that the program reports.
    pub name: Option<String>,
    /// The address of the device.
    pub address: Option<IpAddr>,
    /// The status of the request.
    pub status: DeviceStatus,
    /// The time of the request.
    pub created_at: Timestamp,
    /// The time at which the code expires.
    pub expires_at: Timestamp,
    /// The time of the last poll.
    pub polled_at: Option<Timestamp>,
}

/// The status of a device's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStatus {
    /// The user has not decided yet.
    Pending,
    /// The user with this row id granted access.
    Approved(i64),
    /// The user denied access.
    Denied,
    /// The device has received its tokens.
    Used,
}

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// No unused code exists for this client.
    Unknown,
    /// The code has expired.
    Expired,
    /// The user denied access.
    Denied,
    /// The device polls too often.
    TooFast,
    /// The user has not decided yet.
    Pending,
    /// The user granted access.
    Approved(Device, i64),
}

const COLUMNS: &str =
    "hash, user_code, client, scopes, name, address, status, user_id, created_at, expires_at, polled_at";

impl State {
    /// Stores a request; false if the user code is already in use.
    pub async fn add_device(&self, device: &Device) -> Result<bool, StateError> {
        self.writing("store a device code", Lock::None, |mut writing| async move {
            let add = sql(
                "INSERT INTO device_codes (hash, user_code, client, scopes, name, address, status, created_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8) ON CONFLICT DO NOTHING",
            )
            .bind(&device.hash)
            .bind(&device.user_code)
            .bind(&device.client)
            .bind(&device.scopes)
            .bind(device.name.as_deref())
            .bind(device.address.map(|address| address.to_string()))
            .bind(sql_time(device.created_at))
            .bind(sql_time(device.expires_at));
            let added = writing.run(add).await? > 0;
            writing.commit().await?;
            Ok(added)
        })
        .await
    }

    /// The number of unexpired codes.
    pub async fn devices(&self, now: Timestamp) -> Result<u64, StateError> {
        let (count,): (i64,) = sql_as("SELECT count(*) FROM device_codes WHERE expires_at > $1")
            .bind(sql_time(now))
            .fetch_one(&self.pool)
            .await
            .map_err(StateError::query("count devices"))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The request with this user code.
    pub async fn device(&self, user_code: &str) -> Result<Option<Device>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM device_codes WHERE user_code = $1");
        let row = sql(query).bind(user_code).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(device).transpose()).map_err(StateError::query("read a device"))
    }

    /// Grants access with `scopes`, or denies it if there are none; false if no pending request has this code.
    pub async fn decide_device(
        &self,
        now: Timestamp,
        user_code: &str,
        user: i64,
        scopes: Option<&str>,
    ) -> Result<bool, StateError> {
        self.writing("approve or deny a device", Lock::None, |mut writing| async move {
            let decide = sql("UPDATE device_codes SET status = $3, user_id = $4, scopes = coalesce($5, scopes) \
                 WHERE user_code = $1 AND status = 'pending' AND expires_at > $2")
            .bind(user_code)
            .bind(sql_time(now))
            .bind(if scopes.is_some() { "approved" } else { "denied" })
            .bind(user)
            .bind(scopes);
            let decided = writing.run(decide).await? > 0;
            writing.commit().await?;
            Ok(decided)
        })
        .await
    }

    /// The answer to a poll; a device may poll once per `interval`.
    pub async fn poll_device(
        &self,
        now: Timestamp,
        client: &str,
        hash: &str,
        interval: Duration,
    ) -> Result<Poll, StateError> {
        const OPERATION: &str = "record the poll of a device";
        self.writing(OPERATION, Lock::None, |mut writing| async move {
            let query = format!("SELECT {COLUMNS} FROM device_codes WHERE hash = $1 AND client = $2");
            let found = sql(query)
                .bind(hash)
                .bind(client)
                .fetch_optional(writing.connection())
                .await
                .and_then(|row| row.as_ref().map(device).transpose())
                .map_err(StateError::query(OPERATION))?;
            let Some(device) = found else { return Ok(Poll::Unknown) };
            let too_fast = device.polled_at.is_some_and(|last| now.since(last) < interval);
            let answer = match device.status {
                DeviceStatus::Used => return Ok(Poll::Unknown),
                _ if now >= device.expires_at => return Ok(Poll::Expired),
                DeviceStatus::Denied => return Ok(Poll::Denied),
                DeviceStatus::Approved(user) => return Ok(Poll::Approved(device, user)),
                DeviceStatus::Pending if too_fast => Poll::TooFast,
                DeviceStatus::Pending => Poll::Pending,
            };
            let polled = sql("UPDATE device_codes SET polled_at = $2 WHERE hash = $1");
            writing.run(polled.bind(hash).bind(sql_time(now))).await?;
            writing.commit().await?;
            Ok(answer)
        })
        .await
    }

    /// Uses an approved code and begins its session; false if the code was already used, or the user was deactivated.
    pub async fn redeem_device(
        &self,
        now: Timestamp,
        hash: &str,
        session: &SessionRow<'_>,
        by: &Actor,
    ) -> Result<bool, StateError> {
        self.writing("redeem a device code", Lock::None, |mut writing| async move {
            let used = sql("UPDATE device_codes SET status = 'used' WHERE hash = $1 AND status = 'approved' \
                 AND user_id IN (SELECT id FROM users WHERE deactivated_at IS NULL)");
            if writing.run(used.bind(hash)).await? == 0 {
                return Ok(false);
            }
            begin(&mut writing, now, session, by).await?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

fn device(row: &Row) -> Result<Device, DatabaseError> {
    let status: String = row.try_get(6)?;
    Ok(Device {
        hash: row.try_get(0)?,
        user_code: row.try_get(1)?,
        client: row.try_get(2)?,
        scopes: row.try_get(3)?,
        name: row.try_get(4)?,
        address: row.try_get::<Option<String>>(5)?.and_then(|text| text.parse().ok()),
        status: match (status.as_str(), row.try_get::<Option<i64>>(7)?) {
            ("pending", _) => DeviceStatus::Pending,
            ("approved", Some(user)) => DeviceStatus::Approved(user),
            ("denied", _) => DeviceStatus::Denied,
            _ => DeviceStatus::Used,
        },
        created_at: from_sql_time(row.try_get(8)?),
        expires_at: from_sql_time(row.try_get(9)?),
        polled_at: row.try_get::<Option<i64>>(10)?.map(from_sql_time),
    })
}
