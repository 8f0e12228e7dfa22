//! Which of several plans gets the vcores that become free.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::{FILES, Lab, settings, until};

const PLANS: i64 = 12;

/// Starts a plan whose tasks, one for each file, bring `number` to the gate.
async fn start(lab: &Arc<Lab>, number: i64) -> JoinHandle<Vec<i64>> {
    let submissions = lab.cluster.metrics().await.submissions;
    let running = tokio::spawn({
        let lab = Arc::clone(lab);
        async move { lab.numbers(&format!("SELECT gate({number}) AS v FROM t")).await.unwrap() }
    });
    until("the plan is submitted", async || {
        let now = lab.cluster.metrics().await;
        now.submissions > submissions && now.plans_running >= now.submissions
    })
    .await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_served_in_the_order_in_which_they_came() {
    let lab = Arc::new(Lab::start(settings()).await);
    let _executor = lab.executor(1).await;
    let mut plans = Vec::new();
    for number in 0..PLANS {
        plans.push(start(&lab, number).await);
    }
    lab.gate.open();
    for plan in plans {
        plan.await.unwrap();
    }
    let arrived = lab.gate.arrivals((PLANS * FILES) as usize).await;
    let in_order: Vec<i64> = (0..PLANS).flat_map(|number| (0..FILES).map(move |_| number)).collect();
    assert_eq!(arrived, in_order);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_has_nothing_goes_before_one_that_has_something() {
    let lab = Arc::new(Lab::start(settings()).await);
    let _executor = lab.executor(2).await;
    let long = start(&lab, 1).await;
    assert_eq!(lab.gate.arrivals(2).await, [1, 1]);
    let late = start(&lab, 2).await;
    lab.gate.let_one_through();
    assert_eq!(lab.gate.arrivals(3).await, [1, 1, 2]);
    lab.gate.open();
    long.await.unwrap();
    late.await.unwrap();
}
