#!/usr/bin/env escript
%%! +sbtu
%% A publisher: works on a local repository with the reference library that rebar3 carries, in Erlang terms, and fetches
%% what came of it as a reader.
%%
%%   publish.escript REBAR3 URL REPOSITORY PUBLIC_KEY_FILE WRITER READER FOREIGNER
%%
%% WRITER, READER and FOREIGNER are NAME:PASSWORD of users: one who may publish, one who may read, one who may nothing.
%% Each answer is compared with what it has to be; "STEP STATUS" goes to stdout for each, and the last line is the
%% reader's key. What stays published is stopwatch 1.0.0 and 1.1.0 and ini_reader 0.3.0, which needs it.

-mode(compile).
-include_lib("stdlib/include/zip.hrl").

main([Rebar3, Url, Repository, KeyFile, Writer, Reader, Foreigner]) ->
    ok = load_reference_library(Rebar3),
    {ok, _} = application:ensure_all_started(inets),
    {ok, PublicKey} = file:read_file(KeyFile),
    Base = (r3_hex_core:default_config())#{
        api_url := iolist_to_binary([Url, "/api/repos/", Repository]),
        repo_url := iolist_to_binary([Url, "/repos/", Repository]),
        repo_name := list_to_binary(Repository), repo_public_key := PublicKey,
        repo_verify := true, repo_verify_origin := true},
    {Write, WriterName} = keys(Base, Writer),
    {Read, ReaderName} = keys(Base, Reader),
    {Foreign, ForeignName} = keys(Base, Foreigner),
    releases(Base, Write, Read, Foreign),
    retirement(Write, Read),
    docs(Write, Read),
    owners(Write, Read, WriterName, ReaderName, ForeignName),
    revert(Write, Read),
    fetch(Read),
    forget(Write),
    io:format("~s~n", [maps:get(repo_key, Read)]);
main(_) ->
    io:format(standard_error, "usage: publish.escript REBAR3 URL REPOSITORY KEY_FILE WRITER READER FOREIGNER~n", []),
    halt(2).

%% As `rebar3 hex user auth` does: name and password make three keys, and the password is not needed again.
keys(Base, Account) ->
    [Name, _] = string:split(Account, ":"),
    Basic = Base#{api_key => iolist_to_binary(["Basic ", base64:encode(Account)])},
    Add = fun(What, Permissions) ->
                  #{<<"secret">> := Secret, <<"name">> := What, <<"authing_key">> := false} =
                      step("key add", 201, r3_hex_api_key:add(Basic, What, Permissions)),
                  Secret
          end,
    Api = Add(<<"host-api">>, [#{<<"domain">> => <<"api">>}]),
    Read = Add(<<"host-api-read">>, [#{<<"domain">> => <<"api">>, <<"resource">> => <<"read">>}]),
    Fetch = Add(<<"host-repositories">>, [#{<<"domain">> => <<"repositories">>}]),
    Listed = step("key list", 200, r3_hex_api_key:list(Base#{api_key => Read})),
    [<<"host-api">>, <<"host-api-read">>, <<"host-repositories">>] = lists:sort([N || #{<<"name">> := N} <- Listed]),
    #{<<"authing_key">> := true, <<"permissions">> := [#{<<"domain">> := <<"api">>, <<"resource">> := <<"read">>}],
      <<"last_use">> := LastUse} = step("key get", 200, r3_hex_api_key:get(Base#{api_key => Read}, <<"host-api-read">>)),
    true = LastUse =:= nil orelse is_map(LastUse),
    #{<<"username">> := User, <<"organizations">> := Organizations} =
        step("me", 200, r3_hex_api_user:me(Base#{api_key => Read})),
    true = User =:= list_to_binary(Name) andalso is_list(Organizations),
    #{<<"message">> := <<"key not authorized for this action">>} =
        step("key of a reader", 401, r3_hex_api_key:add(Base#{api_key => Read}, <<"wide">>, [])),
    {Base#{api_key => Api, repo_key => Fetch}, User}.

releases(Base, Write, Read, Foreign) ->
    First = package(<<"stopwatch">>, <<"1.0.0">>, [], "elapsed() -> erlang:monotonic_time(milli_seconds)."),
    #{<<"message">> := <<"missing authentication information">>} =
        step("publish as nobody", 401, r3_hex_api_release:publish(Base, First)),
    #{<<"message">> := <<"invalid API key">>} =
        step("publish with a wrong key", 401, r3_hex_api_release:publish(Base#{api_key => <<"wrong">>}, First)),
    #{<<"message">> := <<"account not authorized for this action">>} =
        step("publish as a reader", 403, r3_hex_api_release:publish(Read, First)),
    #{<<"message">> := <<"Page not found">>} =
        step("publish as a foreigner", 404, r3_hex_api_release:publish(Foreign, First)),
    Checksum = hex(crypto:hash(sha256, First)),
    #{<<"version">> := <<"1.0.0">>, <<"checksum">> := Checksum, <<"html_url">> := Page, <<"retirement">> := nil,
      <<"has_docs">> := false, <<"meta">> := #{<<"build_tools">> := [<<"rebar3">>], <<"app">> := <<"stopwatch">>}} =
        step("publish", 201, r3_hex_api_release:publish(Write, First)),
    true = is_binary(Page),
    Second = package(<<"stopwatch">>, <<"1.0.0">>, [], "elapsed() -> erlang:monotonic_time(millisecond)."),
    #{<<"message">> := <<"Validation error(s)">>,
      <<"errors">> := #{<<"inserted_at">> := <<"must include the --replace flag to update an existing release">>}} =
        step("publish again", 422, r3_hex_api_release:publish(Write, Second, [{replace, false}])),
    {200, Second} = tarball(Read, <<"stopwatch">>, <<"1.0.0">>, First, fun() ->
        step("replace", 200, r3_hex_api_release:publish(Write, Second, [{replace, true}])) end),
    #{<<"errors">> := #{<<"requirements">> := #{<<"nowhere">> := Missing}}} =
        step("publish with a dependency that is not there", 422, r3_hex_api_release:publish(Write,
            package(<<"ini_reader">>, <<"0.3.0">>, [<<"nowhere">>], "parse(_) -> ok."))),
    true = is_binary(Missing),
    #{<<"errors">> := #{<<"tar">> := Why}} =
        step("publish something else", 422, r3_hex_api_release:publish(Write, <<"no tarball">>)),
    true = is_binary(Why),
    step("publish", 201, r3_hex_api_release:publish(Write,
        package(<<"stopwatch">>, <<"1.1.0">>, [], "elapsed() -> erlang:monotonic_time(microsecond) div 1000."))),
    #{<<"requirements">> := #{<<"stopwatch">> := #{<<"requirement">> := <<"~> 1.0">>, <<"optional">> := false,
                                                   <<"app">> := <<"stopwatch">>}}} =
        step("publish", 201, r3_hex_api_release:publish(Write, package(<<"ini_reader">>, <<"0.3.0">>, [<<"stopwatch">>],
            "parse(Text) -> {stopwatch:elapsed(), string:lexemes(Text, \"\\n\")}."))),
    #{<<"releases">> := [#{<<"version">> := <<"1.1.0">>}, #{<<"version">> := <<"1.0.0">>}],
      <<"latest_stable_version">> := <<"1.1.0">>, <<"configs">> := #{<<"rebar.config">> := _, <<"mix.exs">> := _},
      <<"meta">> := #{<<"description">> := <<"A small library">>, <<"licenses">> := [<<"Apache-2.0">>]},
      <<"retirements">> := Retirements, <<"downloads">> := Downloads, <<"owners">> := [#{<<"username">> := _}]} =
        step("package", 200, r3_hex_api_package:get(Read, <<"stopwatch">>)),
    true = {Retirements, Downloads} =:= {#{}, #{}},
    #{<<"version">> := <<"1.1.0">>, <<"publisher">> := #{<<"username">> := _}} =
        step("release", 200, r3_hex_api_release:get(Read, <<"stopwatch">>, <<"1.1.0">>)),
    [#{<<"name">> := <<"ini_reader">>}] =
        step("search", 200, r3_hex_api_package:search(Read, <<"ini">>, [{sort, <<"downloads">>}, {page, 1}])),
    #{<<"status">> := 404} = step("no package", 404, r3_hex_api_package:get(Read, <<"nowhere">>)),
    #{<<"status">> := 404} = step("package as a foreigner", 404, r3_hex_api_package:get(Foreign, <<"stopwatch">>)).

%% What a reader fetches before and after `Change`; both times it is what was published last.
tarball(Read, Name, Version, Before, Change) ->
    {ok, {200, _, Before}} = r3_hex_repo:get_tarball(Read, Name, Version),
    Change(),
    {ok, {Status, _, After}} = r3_hex_repo:get_tarball(Read, Name, Version),
    {Status, After}.

retirement(Write, Read) ->
    Fault = #{<<"reason">> => <<"boredom">>},
    #{<<"errors">> := #{<<"retirement">> := #{<<"reason">> := _}}} =
        step("retire for no reason", 422, r3_hex_api_release:retire(Write, <<"stopwatch">>, <<"1.0.0">>, Fault)),
    Params = #{<<"reason">> => <<"security">>, <<"message">> => <<"loses time, take 1.1.0">>},
    step("retire as a reader", 403, r3_hex_api_release:retire(Read, <<"stopwatch">>, <<"1.0.0">>, Params)),
    nil = step("retire", 204, r3_hex_api_release:retire(Write, <<"stopwatch">>, <<"1.0.0">>, Params)),
    #{reason := 'RETIRED_SECURITY', message := <<"loses time, take 1.1.0">>} = retired(Read, <<"1.0.0">>),
    {ok, {200, _, Versions}} = r3_hex_repo:get_versions(Read),
    [#{versions := [<<"1.0.0">>, <<"1.1.0">>], retired := [0]}] = [P || #{name := <<"stopwatch">>} = P <- Versions],
    nil = step("unretire", 204, r3_hex_api_release:unretire(Write, <<"stopwatch">>, <<"1.0.0">>)),
    none = retired(Read, <<"1.0.0">>).

retired(Read, Version) ->
    {ok, {200, _, Releases}} = r3_hex_repo:get_package(Read, <<"stopwatch">>),
    [Release] = [R || #{version := V} = R <- Releases, V =:= Version],
    maps:get(retired, Release, none).

%% This version of the library has no function for docs: the request is the one that rebar3_hex makes.
docs(Write, Read) ->
    Path = <<"packages/stopwatch/releases/1.1.0/docs">>,
    {ok, Docs} = r3_hex_tarball:create_docs([{"index.html", <<"<h1>stopwatch</h1>">>}]),
    Put = fun(Config, At, Bytes) -> r3_hex_api:post(Config, At, {"application/octet-stream", Bytes}) end,
    404 = fetch_docs(Read),
    step("docs of no release", 404, Put(Write, <<"packages/stopwatch/releases/9.0.0/docs">>, Docs)),
    step("docs as a reader", 403, Put(Read, Path, Docs)),
    #{<<"errors">> := _} = step("docs that are none", 422, Put(Write, Path, <<"nothing">>)),
    step("docs", 201, Put(Write, Path, Docs)),
    Docs = fetch_docs(Read),
    #{<<"has_docs">> := true} = step("release", 200, r3_hex_api_release:get(Read, <<"stopwatch">>, <<"1.1.0">>)),
    step("docs delete", 204, r3_hex_api:delete(Write, Path)),
    404 = fetch_docs(Read).

fetch_docs(#{repo_url := Url, repo_key := Key}) ->
    At = binary_to_list(<<Url/binary, "/docs/stopwatch-1.1.0.tar.gz">>),
    Headers = [{"authorization", binary_to_list(Key)}, {"user-agent", "rebar3"}],
    case httpc:request(get, {At, Headers}, [], [{body_format, binary}]) of
        {ok, {{_, 200, _}, _, Body}} -> Body;
        {ok, {{_, Status, _}, _, _}} -> Status
    end.

owners(Write, Read, Writer, Reader, Foreigner) ->
    Owners = fun(Config) ->
        Listed = step("owner list", 200, r3_hex_api_package_owner:list(Config, <<"stopwatch">>)),
        lists:sort([{Name, Level} || #{<<"username">> := Name, <<"level">> := Level, <<"email">> := _} <- Listed])
    end,
    Add = fun(Config, User, Level, Transfer) ->
        r3_hex_api_package_owner:add(Config, <<"stopwatch">>, User, Level, Transfer) end,
    [{Writer, <<"full">>}] = Owners(Read),
    step("owner add as a reader", 403, Add(Read, Reader, <<"full">>, false)),
    step("owner add of nobody", 404, Add(Write, <<"nobody">>, <<"full">>, false)),
    #{<<"errors">> := _} = step("owner add of a foreigner", 422, Add(Write, Foreigner, <<"full">>, false)),
    nil = step("owner add", 204, Add(Write, Reader, <<"maintainer">>, false)),
    [{Reader, <<"maintainer">>}, {Writer, <<"full">>}] = lists:sort(Owners(Read)),
    #{<<"username">> := Reader, <<"level">> := <<"maintainer">>} =
        step("owner get", 200, r3_hex_api_package_owner:get(Read, <<"stopwatch">>, Reader)),
    nil = step("owner remove", 204, r3_hex_api_package_owner:delete(Write, <<"stopwatch">>, Reader)),
    [{Writer, <<"full">>}] = Owners(Read),
    #{<<"errors">> := _} = step("last owner remove", 422,
                                r3_hex_api_package_owner:delete(Write, <<"stopwatch">>, Writer)),
    nil = step("owner transfer", 204, Add(Write, Reader, <<"full">>, true)),
    [{Reader, <<"full">>}] = Owners(Read),
    %% The writer's role in the organization still lets it publish; to own is another matter.
    step("owner add by who was one", 403, Add(Write, Writer, <<"full">>, false)),
    nil = step("owner transfer", 204, Add(Read, Writer, <<"full">>, true)).

revert(Write, Read) ->
    Tarball = package(<<"stopwatch">>, <<"2.0.0">>, [], "elapsed() -> 0."),
    step("publish", 201, r3_hex_api_release:publish(Write, Tarball)),
    step("revert as a reader", 403, r3_hex_api_release:delete(Read, <<"stopwatch">>, <<"2.0.0">>)),
    nil = step("revert", 204, r3_hex_api_release:delete(Write, <<"stopwatch">>, <<"2.0.0">>)),
    step("revert again", 404, r3_hex_api_release:delete(Write, <<"stopwatch">>, <<"2.0.0">>)),
    {ok, {404, _, _}} = r3_hex_repo:get_tarball(Read, <<"stopwatch">>, <<"2.0.0">>),
    #{<<"errors">> := #{<<"version">> := _}} = step("publish other bytes", 422, r3_hex_api_release:publish(Write,
        package(<<"stopwatch">>, <<"2.0.0">>, [], "elapsed() -> 1."))).

%% The whole repository as a client sees it: signatures, names, both checksums.
fetch(Read) ->
    {ok, {200, _, Names}} = r3_hex_repo:get_names(Read),
    [<<"ini_reader">>, <<"stopwatch">>] = lists:sort([Name || #{name := Name} <- Names]),
    [begin
         {ok, {200, _, Releases}} = r3_hex_repo:get_package(Read, Name),
         [begin
              {ok, {200, _, Tarball}} = r3_hex_repo:get_tarball(Read, Name, Version),
              {ok, #{inner_checksum := Inner, outer_checksum := Outer, metadata := #{<<"name">> := Name}}} =
                  r3_hex_tarball:unpack(Tarball, memory)
          end || #{version := Version, inner_checksum := Inner, outer_checksum := Outer} <- Releases]
     end || #{name := Name} <- Names],
    {ok, {200, _, [#{dependencies := [Dependency]}]}} = r3_hex_repo:get_package(Read, <<"ini_reader">>),
    %% A dependency in the same repository names none, and what is not optional says nothing of it.
    #{package := <<"stopwatch">>, requirement := <<"~> 1.0">>} = Dependency,
    false = maps:is_key(repository, Dependency),
    false = maps:is_key(optional, Dependency),
    {ok, {401, _, _}} = r3_hex_repo:get_names(Read#{repo_key => <<"wrong">>}),
    {ok, {401, _, _}} = r3_hex_repo:get_names(Read#{repo_key => undefined}),
    ok.

forget(Write) ->
    #{<<"name">> := <<"host-api-read">>, <<"revoked_at">> := Revoked} =
        step("key delete", 200, r3_hex_api_key:delete(Write, <<"host-api-read">>)),
    true = is_binary(Revoked),
    step("no key", 404, r3_hex_api_key:get(Write, <<"host-api-read">>)),
    #{<<"name">> := <<"host-api">>, <<"authing_key">> := true} =
        step("key delete all", 200, r3_hex_api_key:delete_all(Write)),
    #{<<"message">> := <<"API key revoked">>} = step("a key that is gone", 401, r3_hex_api_user:me(Write)).

%% ---------------------------------------------------------------------------------------------------------------------

step(What, Status, {ok, {Status, _Headers, Body}}) ->
    io:format("~s ~b~n", [What, Status]),
    Body;
step(What, Status, Other) ->
    io:format(standard_error, "~s: not ~b but ~tp~n", [What, Status, Other]),
    halt(1).

package(Name, Version, Needed, Code) ->
    {Function, _} = lists:splitwith(fun(C) -> C =/= $( end, Code),
    Arity = case string:find(Code, "() ->") of nomatch -> 1; _ -> 0 end,
    Source = io_lib:format("-module(~s).~n-export([~s/~b]).~n~s~n", [Name, Function, Arity, Code]),
    App = io_lib:format("~p.~n", [{application, binary_to_atom(Name), [
        {description, "A small library"}, {vsn, binary_to_list(Version)}, {registered, []},
        {applications, [kernel, stdlib | [binary_to_atom(N) || N <- Needed]]}, {modules, []}]}]),
    Files = [{"rebar.config", <<"{erl_opts, [debug_info]}.\n">>},
             {"src/" ++ binary_to_list(Name) ++ ".app.src", iolist_to_binary(App)},
             {"src/" ++ binary_to_list(Name) ++ ".erl", iolist_to_binary(Source)}],
    Requirement = fun(Dep) -> #{<<"app">> => Dep, <<"requirement">> => <<"~> 1.0">>, <<"optional">> => false} end,
    Metadata = #{<<"name">> => Name, <<"version">> => Version, <<"app">> => Name,
                 <<"description">> => <<"A small library">>, <<"licenses">> => [<<"Apache-2.0">>],
                 <<"build_tools">> => [<<"rebar3">>], <<"files">> => [list_to_binary(F) || {F, _} <- Files],
                 <<"requirements">> => maps:from_list([{N, Requirement(N)} || N <- Needed])},
    {ok, #{tarball := Tarball}} = r3_hex_tarball:create(Metadata, Files),
    Tarball.

load_reference_library(Rebar3) ->
    {ok, Sections} = escript:extract(Rebar3, []),
    Wanted = fun(#zip_file{name = Name}) -> string:prefix(filename:basename(Name), "r3_") =/= nomatch;
                (_) -> false end,
    {ok, Files} = zip:extract(proplists:get_value(archive, Sections), [memory, {file_filter, Wanted}]),
    [{module, _} = code:load_binary(list_to_atom(filename:basename(Name, ".beam")), Name, Beam)
     || {Name, Beam} <- Files, filename:extension(Name) =:= ".beam"],
    {module, r3_hex_repo} = code:ensure_loaded(r3_hex_repo),
    ok.

hex(Bytes) -> iolist_to_binary([io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= Bytes]).
