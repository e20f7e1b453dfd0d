//! Tests that every subscriber gets every change once, in the same order.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Change, Changes, Event, Subscriber, Subscription};

/// A subscriber that records its own name and the number of each change.
#[derive(Debug)]
struct Ear {
    name: &'static str,
    heard: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

impl Subscriber for Ear {
    fn notice(self: Arc<Self>, change: &Change) {
        self.heard.lock().push((self.name, change.number));
    }
}

/// Changes, and what their subscribers have received.
#[derive(Default)]
struct Room {
    changes: Arc<Changes>,
    heard: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

impl Room {
    fn ear(&self, name: &'static str) -> (Arc<Ear>, Subscription) {
        let ear = Arc::new(Ear { name, heard: Arc::clone(&self.heard) });
        let subscriber: Weak<dyn Subscriber> = Arc::downgrade(&ear) as _;
        (ear, self.changes.subscribe(subscriber))
    }

    fn announce(&self) -> u64 {
        self.changes
            .announce(Event::PackageChanged { repository: "acme".parse().unwrap(), package: "core".parse().unwrap() })
    }

    fn heard(&self) -> Vec<(&'static str, u64)> {
        std::mem::take(&mut *self.heard.lock())
    }
}

#[test]
fn events_are_numbered_without_a_gap_whether_anybody_listens_or_not() {
    let room = Room::default();
    assert_eq!((room.announce(), room.announce()), (1, 2));
    let _ear = room.ear("a");
    assert_eq!(room.announce(), 3);
    assert_eq!(room.heard(), [("a", 3)]);
}

#[test]
fn subscribers_are_told_in_the_order_in_which_they_came_before_the_announcement_ends() {
    let room = Room::default();
    let _ears = (room.ear("a"), room.ear("b"));
    room.announce();
    assert_eq!(room.heard(), [("a", 1), ("b", 1)]);
}

#[test]
fn who_has_unsubscribed_or_is_gone_hears_nothing_and_others_miss_nothing() {
    let room = Room::default();
    let ((_a, first), (b, _second), _third) = (room.ear("a"), room.ear("b"), room.ear("c"));
    drop(first);
    room.announce();
    assert_eq!(room.heard(), [("b", 1), ("c", 1)]);
    drop(b);
    room.announce();
    assert_eq!(room.heard(), [("c", 2)]);
}

#[test]
fn many_announcers_are_heard_in_one_order_by_all() {
    const ANNOUNCERS: u64 = 4;
    const EACH: u64 = 250;
    let room = Room::default();
    let _ears = (room.ear("a"), room.ear("b"));
    std::thread::scope(|scope| {
        for _ in 0..ANNOUNCERS {
            scope.spawn(|| (0..EACH).for_each(|_| assert!(room.announce() > 0)));
        }
    });
    let expected: Vec<_> = (1..=ANNOUNCERS * EACH).flat_map(|number| [("a", number), ("b", number)]).collect();
    assert_eq!(room.heard(), expected);
}

#[test]
fn a_subscription_keeps_its_subscriber_no_longer_than_others_do() {
    let room = Room::default();
    let (ear, _subscription) = room.ear("a");
    let weak = Arc::downgrade(&ear);
    drop(ear);
    assert!(weak.upgrade().is_none());
}
