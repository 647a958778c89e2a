/**
 * Texts of evaluation benchmarks, which may not be shown to a teacher as examples: what it writes after them would be near to what
 * a trained model is measured by. Known are the 500 statements of SWE-bench Verified, by how they begin, and names of its tasks.
 */

/** Whether a text is, or holds, a statement of a benchmark, or names one of its tasks. */
export function isBenchmarkText(text: string): boolean {
  if (TASK_NAME.test(text)) return true;
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  for (let start = 0; start + BEGINNING_WORDS <= words.length; start += 1) {
    const beginning = words.slice(start, start + BEGINNING_WORDS).join(' ');
    if (BEGINNINGS.has(fingerprint(beginning))) return true;
  }
  return false;
}

// --- internal ---

/** As its tasks are named: `django__django-11099`. */
const TASK_NAME =
  /\b(?:astropy|django|matplotlib|mwaskom|pallets|psf|pydata|pylint-dev|pytest-dev|scikit-learn|sphinx-doc|sympy)__[\w-]{1,40}-\d{1,6}\b/;
const BEGINNING_WORDS = 10;
const FINGERPRINT_CHARS = 10;

/** 48 bits of a text, in base 36. */
function fingerprint(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b);
    high ^= high >>> 13;
  }
  const bits = (high & 0xffff) * 2 ** 32 + (low >>> 0);
  return bits.toString(36).padStart(FINGERPRINT_CHARS, '0');
}

/** Fingerprints of the first words of each statement. */
const BEGINNINGS = new Set(
  [
    '0078djgxdz00hj68mdpl00k6135qz800wgrgpzd300xnxr3uzw00zbmysku901d5nhzf1r01igu00c2201mk2hcfxy',
    '02r65t13cr02xhieicok035txox9eu0370fzmzt003g258xkan03h9s984w503imf7c7z003q18zy5gg03ugct3tug',
    '04fywsxpiz04o7nevb9e04rnr8xte004u69rsj3v05naofl1t905nck30mci05pvhhp1t705wesm9vla05yth7x01t',
    '066zcssr0706lenypqro08lob7u2z408mx8j116l08qgqnaysd08v1cbf9mt09iurmj3ll09j6x7u13n09rwcz7s1a',
    '09xqwefgnf0anf4kgozj0avdfap20f0axeb2n1gx0b4yt4twkr0bn17hcbnp0brvj4efkh0bvik136rt0byuhs3l8a',
    '0c54597n2q0clo170q1p0cqn5gljus0d7dikrtfx0dja8hdikw0dkycc90t00duwtfdhg10e7wlwdx360eh67zfwn1',
    '0ep47qhudn0eso35gyhy0ez4ku34bw0f3z1cg7gb0fapmh3em80fep9vnapa0foifqngmm0fr1vcgaop0fwd09cwix',
    '0fwsyu4kqd0gdzgig3uf0ggpcmt29u0h1ir4ex4w0h64ni9fud0hgjjg08ct0hirffbjiy0hnxwcpdtl0huzf39yed',
    '0i67qsub1k0id4iag6ss0ix8p01wd20j27fh7b7k0j5pal5jo80jeq89j3vi0jjttbj5u80k37uqp23g0kbzczd0an',
    '0kjk4e7n450ks3r5pjwu0kwvwln2z30kzbjz16nn0l0v0sat590la1v0agng0lu0tt3tnn0lycvwk82p0m8bojcuxk',
    '0mgok9r9am0mgwtqpz8o0mlbid8yt00mpadkpu3w0mqhrkoyeu0mtqyvh3k10n7ndbc5900ng92ay9050nh58v3d4x',
    '0nsvoa9ten0nxc18pngk0nypuhcezb0o3xz37rj70o8w3vdpg30oush836kf0ozq2qlzto0p31va6p410pbxw5p8hu',
    '0ped16js0b0pehrne9f60pg93l8fix0phrmiivhd0pmat549dg0pokn3m2060pvylx5y9b0q04rpis320q5aejuxdc',
    '0qc9wkd77z0qk36zg4rq0qokhovttp0qukm5oj050qxr6bjys50r3mgjmlkz0r882aoocx0rl4nkfg2d0rs1j88q1u',
    '0rv1rwmi670s95qigwgp0sfi98icsm0sla7buzud0so2y0lftr0sqvozx9tg0sucby0vaw0svve28ub90swmor33z9',
    '0t91xxwm320tcj8kc9if0tqm3qu2zk0tvz6pona20tx4icukfp0u1sgmzkbd0u8e1orxxl0uclorcv4g0uhmgkqif4',
    '0ukvdev5lz0ulchkv7jt0ve5zuoiys0vm7tuabw10voc7tkn2r0vrvfm0fig0vtfxbkay20vx063w4lc0w0pf5rvvt',
    '0w2ivcrl0y0we9t8q66v0wh6r5y1eg0wkod6nskb0wmmhz3odh0wqn1hm6e20wstm4rz2s0wttopv4kx0wwlkrk3js',
    '0xb3dt3teb0xm3rqp8s00xpo0ayazj0ydsm8trc80yeh9qquiz0yua5ta4dm0yweg4tlja0ywpfy2y9v0z9snh41jf',
    '0zea2g2nyr0zikqfxvxx0zona6w0pz0zpregdgbp0zw9iokejg10dbv7zdu710dcmvkwfl10ethazmle10m2qf5o7t',
    '10s3yg5x1110s8wfli8g11ay2rn9xo11jdzzz14i12001nxtwo1265f524dc12e4e0v8ml12fzha9zy512jpkby13i',
    '12p8fme45e12q5rdrjw912trbtrvox12u9yvrfzf12uz0m9tpx132fajc7lk13rb6u3gol14360jy0im143c4gr1w7',
    '14861l5osa14gyv0jbbj14mvzs4ahf14o7ujdl9l153c8k5jb3153k15zm7h156vb4e7tq15fokvse1215k8odifxq',
    '15lrujntww15qefjciv4161a3aypxc169bq8bxpr16dgj1yzum16dsqwv11p16ei6wf8m516r32xe4ur16rlco8pj5',
    '16vp68dmym16wnk8vr6e179xym8m3q17b3vaixa517b9emopm017mbr7l2nj180fhte19c18580mdh3j186mbu1727',
    '18o92g1iok18txg1icbc190omx6p4s198x2wkzfc19c3n978zt19crwpy5eg19du3d7qk519huaow4bp19k8dyf8b2',
    '19prmcfb8u19qytl1y9719uxt5rnxk1a53l357g41a5o26nwog1ah08ldacd1au6uc7ptm1aue4y073e1b0x8bsgui',
    '1bge58u01m1bmfqsbig71byrsst3hz1c6e9nglat1cm1hxs1071crghfkzqw1csuu8d15i1ddwr448md1dk7pb1cdn',
    '1e0v41gwr61eb6a2amfv1ef2ret43b1ehyre13z21ejhl6zs451emenuzfuy1enwkmpf681f3v7qwb881f8zl0q9tr',
    '1fq2mkg8xk1fq8uyn2v01g66vulfk11gkh1177yr1gsuko4z9u1h52ir6blw1hqrknxpxk1hummxn9xi1hwqnlhxqp',
    '1hxo8ok7041i1sv7o7op1i5cdojl2f1i6hutul6o1i8d9ko5nz1iph5ncc111isu0z3g2m1iuw9z5gak1j2lp9n2ey',
    '1jstbuejj51k691pvm6f1kcshz0aqp1kqtttfk0t1kvis6z52e1l8ppzk0j81lcf79f7vq1lgfrq79yg1ls83a7xk9',
    '1m4xs9j8zt1m66zrdh0c1m9cunpa861mc2fjkytn1mc64r6jj61mdkxw97ph1mi2wy1mgb1mi39wji1t1mktbmor0t',
    '1ml0tf5h831ml2g3wk921moe3jdbku1n559x3q7u1ng97n134s1niwlokvtf1nqd4bbb9z1nzz6o39pm1o5ekjlziy',
    '1o84gwyvus1oeucqg1r11or994e5na1payzhjnww1pkwelernw1ptth79e351pzhfdef4n1qcz0xpbip1qk7fpl9nd',
    '1qmlnrafxw1qmzfcs0bj1qprs1w1o51qttedx5hs1r3nbxfnlo1rghzf920c1rjoheyigl1rkrkxaft21rqeuqleyw',
    '1s37k8l5jm1s5p7tyv9h1sjz8w3qft1snpg08d3b1sp5n5tnqd1svoiaijr01tcrtaffv51tdautfbx71tgislqoba',
    '1u0czwm5n71u7b171alh1ulmzbqvck1uoum1quyl1ux7ay825h1v1ds631lx1v6390hpds1v7tzy2vfr1vfzmzvqcb',
    '1vgb3e8nma1vhcv2p0qu1vht1edlw31vksgy2r431vph0u74rb1vy7grxft61w6nybfgi41wk22f20ua1wkzdab14o',
    '1wr9j65gp21x9h1srbnl1xofxbs66m1xq9ikfxvl1xyl6sta9o1xyufixryn1yhhycrmxy1yipbehzgg1ymp3avxqq',
    '1yoh04sm881yu604bz9l1z2x8z16mi1zlch06g2a202krcgaum208sp3py5x20iswci6wj20jb0ssb6r20n2xs3ekn',
    '212ttkydpo217o8y8ehq21brmndlgg21c4x12vp521ev8fxlqc21ibpwzaw421nnffbrzh21ukty2blp2224w41ccb',
    '2248si2e0q229yuxfzfk2361d31p5k23j6dtoxqn23jkrxxpel23kh23myv823sw4a37fk24djulm6ds24ea6kepx0',
    '24ex1j0t1424pp732xrc24ytd93php24yx8ey15y2529p1rmav25kt3z1fah25o6zg60p925utk7zlyh26do775k37',
    '26jvflgzyx26r0gj99v826u1zdvn1c26vnsi9djf27jn6ezcf727xgrahsxm283csogs8j289s6jzvyz28wka89skr',
    '29l0vuewgc2a4n8sz4gl2aymyw7bc62b10f6ibm22b3efuep0g2b4m3apnir2babd7shfn2bbktpqpqr2bf7zrc99k',
    '2bgxr7r4xd2bmaijq5cr2bmnmkkjqo2bs1jphwqi2btfb8rx252c49d1q94v2cievxukmh2ckiwb59582d2ew9xjhh',
    '2d8k4o7v7b2dejnv5ayi2dhiblu0gs2doky76r2t2e1tt60ewe2e9o4vrvo82edpu22so82fl2cesoz22fnkg2temw',
    '2ftvx2w7ja2fyty8z8w22g1f6hvxyz2g7wimunt82g9lmqa8rv2gim8jz2c22gmboz0s272gpvg1ppnx2gv6dfzjej',
    '2h3g5pda0l2h4sgn5pwl2hbfe14ykp2i1d8jlrcr2i21pxtb5g2i57t7w7zl2i7wkw22rc2icpojm6aq2ig4trh9st',
    '2isb2mi30t2itfyzs2vj2ivzjfvi8h2j3wjye22x2jdcy30h4o2jjj0bmgjz2ju0ksrkg62k31e5nohd2ke91m7c60',
    '2kibvzvqdt2kjt2i1nyo2kpzmnm5hp2kr9fdelul2ksigd8d0c2ktc11teaf2kudvnk84f2l2blyrwb42l8ruxwc46',
    '2lhjgekve92li9dbxubs2lun4gt0ts2mbh1p6d9d2mfrm2dm592mo6gkjkci2mr6cc18qu2my5fy7a6e2n3r5ooszm',
    '2n5i9tnttu2niv3bel3v2nzyxqbebv2o2i76glb92ohvycjcbm2paudoosvc2pdcjy0nz22pg6g3xkdf2plcfafsdw',
    '2pnifu3xsq2ps6mzpgef2pu5n4ikj12pvv464e3p2pxbfktop62q5pm36psz2qbhd8afmr2qebnb0ki72qgrlkayfc',
    '2qly1ifdyl2qm819in3q2qq0fsyrga2qtb4z71l12rbi0sp22a',
  ].flatMap((row) => row.match(/.{10}/g) ?? []),
);
