//! Tasks that count all of their rows and write some of them.

use cambist_udfs::rate::DayRange;

use super::*;

fn tallying(scene: &Scene, input: Arc<dyn ExecutionPlan>, days: &[(i32, i32)]) -> Arc<PartitionWriter> {
    let range = |&(first, last): &(i32, i32)| DayRange { first: RateDate(first), last: RateDate(last) };
    let tally = TallySpec { written_days: days.iter().map(range).collect() };
    let spec = PartitionWriterSpec {
        tally: Some(tally),
        ..scene.writer(input.clone(), false).spec().as_ref().clone()
    };
    Arc::new(PartitionWriter::new(input, Arc::new(spec), scene.staging()))
}

#[tokio::test]
async fn what_is_not_written_is_counted_as_if_it_were() {
    for scene in [Scene::on_disk(), Scene::in_memory()] {
        scene.write("a.csv", 300);
        let plan = scene.converted(scene.groups(1).await).await;
        let whole = manifest(&scene.writer(Arc::clone(&plan), false), 0).await;
        scene.staging().discard().await.unwrap();
        let part = manifest(&tallying(&scene, Arc::clone(&plan), &[(DAY_ZERO + 1, DAY_ZERO + 1)]), 0).await;
        assert_eq!(part.counts, whole.counts);
        let written: Vec<&str> =
            files_of(&part, TableKind::Main).iter().map(|file| file.partition.as_str()).collect();
        assert_eq!(written, ["dt=2024-05-02"]);
        assert_eq!(files_of(&part, TableKind::Quarantine).len(), 1);
        let tallied = part.tallied.unwrap();
        for file in files_of(&whole, TableKind::Main) {
            let one = tallied.iter().find(|one| one.partition == file.partition).unwrap();
            let figures = Figures {
                rows: file.rows,
                content_hash: file.content_hash,
                source_totals: file.source_totals.clone(),
                totals: file.totals.clone(),
            };
            assert_eq!(one.figures, figures);
            let of_source = &one.by_source["USD"];
            assert_eq!((of_source.rows, &of_source.totals), (file.rows, &file.totals));
        }
        assert_eq!((tallied.len(), whole.tallied), (DAYS, None));

        scene.staging().discard().await.unwrap();
        let nothing = manifest(&tallying(&scene, plan, &[]), 0).await;
        assert_eq!((nothing.counts, nothing.tallied), (whole.counts, Some(tallied)));
        assert!(scene.staged().await.iter().all(|path| !path.starts_with("dt=")));
    }
}
