//! What is counted: everything between two functions that valgrind watches for.

use std::hint::black_box;

/// Valgrind's pattern for the function before what is counted.
pub(crate) const BEGINS: &str = "*counting_begins*";

/// Valgrind's pattern for the function after what is counted.
pub(crate) const ENDS: &str = "*counting_ends*";

/// Counts `work`, which is done `times` times, under a name: instructions and allocations of all threads until it is done.
pub(crate) fn count(name: &str, times: u32, mut work: impl FnMut()) {
    announce(name, times);
    counting_begins();
    for _ in 0..times {
        work();
    }
    counting_ends();
}

/// The same for work that waits: one turn for each of `inputs`, which are made before.
pub(crate) async fn count_async<T>(name: &str, inputs: Vec<T>, mut work: impl AsyncFnMut(T)) {
    announce(name, u32::try_from(inputs.len()).expect("not that many"));
    counting_begins();
    for input in inputs {
        work(input).await;
    }
    counting_ends();
}

/// Tells who counts what comes next.
fn announce(name: &str, times: u32) {
    println!("{name} {times}");
}

// Two bodies, since a linker may make one function of two that are the same.

#[inline(never)]
fn counting_begins() {
    black_box("begins");
}

#[inline(never)]
fn counting_ends() {
    black_box("ends");
}
