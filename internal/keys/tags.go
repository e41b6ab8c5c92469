package keys

// tagLen is the length of a shard tag.
const tagLen = 2

// tags holds 256 shard tags, each of two characters: the j-th hashes to a slot
// within 20 of 64·j. Shard k of P takes the tag number (2k+1)·128/P, so its slot
// is close to (k+½)·16384/P, the middle of what a cluster of P masters gives to
// its k-th. A stored session's place depends on this table: it never changes.
const tags = "" +
	"ru7gmm7c6uk66qk218cg9iccbycoe8ckbq4n294j25ov21or5x36appsf9x7axx3" +
	"f1690jjd0n61kvutdjzhdnzldbexdfb53cii3gimo22qo6q43ryagcyegga8xwfu" +
	"cwbm8gbi8c9ud6z0d26mlc6i06mu02mqssadg3y14gal4cy9pv5donqh4vi54ri1" +
	"w3c399c7eddr91dvuhkj1dknm10rm5s7fixkfmxofaxcyyxgiyhc2ihg2m42iuww" +
	"7emo7amkk46wk0u2ly9oce9kcabw8ybscinf4lnb4h27op5zh9avx9arx5f7x1f3" +
	"jb0hjf0l63l91zktuvdhzjdlez89b3ddb73aik3e2shy2wo4q6gayggeykxqfsxu" +
	"bo8ebk8az6d49wd09sle6ola6k04ms7y6cg5afg1ab4eang95fol5bohi74ti339" +
	"nzebc5efc993dpzvdt1bkh1f0pjz0tm7s5fkxifogyfcxafgha2khe2o40is44iw"
