"""A store that refuses for good: the run ends at once and says which permission, bucket or key is missing.

moto enforces real IAM policies here; each user lacks one permission."""

import json
import time
import urllib.request

import boto3
import pytest

import cambist
import samples
import stores

TYPES = ("--types", "transaction_id=int64")
BUCKET = "lake"
ALL = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
# Retries would take longer by far.
AT_ONCE_SECONDS = 60


class Lake:
    """A bucket with input and rates, behind a moto that checks who asks for what."""

    def __init__(self, endpoint, folder):
        self.endpoint = endpoint
        self.iam = self.client("iam", "test", "test")
        bucket = stores.Bucket(endpoint, name=BUCKET)
        samples.steady_rates(folder / "rates", days=5)
        samples.write_csv(folder / "raw" / "a.csv", samples.transactions(range(1, 21), range(3)))
        bucket.put_tree("", folder)
        bucket.put_tree("hidden/", folder)
        self.users = {}

    def client(self, service, key, secret):
        return boto3.client(service, endpoint_url=self.endpoint, region_name=stores.REGION,
                            aws_access_key_id=key, aws_secret_access_key=secret)

    def add_user(self, name, statements):
        self.iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": statements}
        self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        self.users[name] = stores.environment(self.endpoint, key["AccessKeyId"], key["SecretAccessKey"])

    def enforce(self):
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()

    def normalize(self, environment, output, source="raw", bucket=BUCKET):
        started = time.monotonic()
        done = cambist.run(
            *cambist.normalize_arguments(
                f"s3://{bucket}/{source}", f"s3://{BUCKET}/rates", f"s3://{bucket}/{output}", "SGD",
                "--batch", "b", *TYPES),
            env=environment)
        assert time.monotonic() - started < AT_ONCE_SECONDS, f"it was tried again\n{done}"
        return done


def allow(actions, resource="*"):
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": resource}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with stores.moto(tmp_path_factory.mktemp("iam")) as endpoint:
        if endpoint is None:
            pytest.skip("no `moto_server`: pip install 'moto[server]'")
        lake = Lake(endpoint, tmp_path_factory.mktemp("lake"))
        lake.add_user("everything", [allow(ALL)])
        for permission in ALL:
            lake.add_user(permission, [allow(ALL - {permission})])
        reads = [f"arn:aws:s3:::{BUCKET}/{prefix}/*" for prefix in ("raw", "rates", "out")]
        lake.add_user("by prefix", [allow(ALL - {"s3:GetObject"}), allow({"s3:GetObject"}, reads)])
        lake.enforce()
        yield lake


def test_who_may_do_everything_succeeds(lake):
    cambist.committed(lake.normalize(lake.users["everything"], "out/everything"))


@pytest.mark.parametrize("permission, resource", [
    ("s3:ListBucket", f"`s3:ListBucket` on `s3://{BUCKET}`"),
    ("s3:GetObject", f"`s3:GetObject` on `s3://{BUCKET}/"),
    ("s3:PutObject", f"`s3:PutObject` on `s3://{BUCKET}/out/"),
    ("s3:DeleteObject", f"`s3:DeleteObject` on `s3://{BUCKET}/out/"),
])
def test_a_missing_permission_is_named_with_its_key(lake, permission, resource):
    done = lake.normalize(lake.users[permission], "out/" + permission[3:])
    assert done.code == cambist.USAGE, done
    assert resource in done.stderr and "not allowed" in done.stderr, done


def test_a_key_under_a_forbidden_prefix_is_named(lake):
    user = lake.users["by prefix"]
    cambist.committed(lake.normalize(user, "out/prefix"))
    done = lake.normalize(user, "out/prefix", source="hidden/raw")
    assert done.code == cambist.USAGE, done
    assert f"`s3:GetObject` on `s3://{BUCKET}/hidden/raw/a.csv`" in done.stderr, done


def test_unknown_credentials_are_told_from_missing_permissions(lake):
    everything = lake.users["everything"]
    for wrong in ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN000000000"}, {"AWS_SECRET_ACCESS_KEY": "wrong"}):
        done = lake.normalize(everything | wrong, "out/wrong")
        assert done.code == cambist.USAGE, done
        assert "does not accept the credentials" in done.stderr and "wrong" not in done.stderr.split("out/wrong")[0]


def test_a_missing_bucket_is_named(lake):
    done = lake.normalize(lake.users["everything"], "out/table", bucket="no-such-bucket")
    assert done.code == cambist.USAGE, done
    assert "bucket `no-such-bucket` does not exist" in done.stderr, done
