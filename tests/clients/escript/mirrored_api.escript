#!/usr/bin/env escript
%%! +sbtu
%% Somebody who looks packages up: asks the API with the reference library that rebar3 carries, in Erlang terms.
%%
%%   mirrored_api.escript REBAR3 API_URL PACKAGE VERSION WORD
%%
%% stdout: "package NAME DESCRIPTION VERSION…", "release VERSION CHECKSUM", "found NAME…" for a search for WORD.

-mode(compile).
-include_lib("stdlib/include/zip.hrl").

main([Rebar3, Url, Package, Version, Word, Missing]) ->
    ok = load_reference_library(Rebar3),
    {ok, _} = application:ensure_all_started(inets),
    Config = (r3_hex_core:default_config())#{api_url := list_to_binary(Url)},
    [Name, Number] = [list_to_binary(Text) || Text <- [Package, Version]],
    {ok, {200, _, #{<<"name">> := Name, <<"meta">> := Meta, <<"releases">> := Releases,
                    <<"retirements">> := Retirements, <<"configs">> := #{<<"mix.exs">> := _}}}} =
        r3_hex_api_package:get(Config, Name),
    true = is_map(Retirements),
    #{<<"description">> := Description, <<"licenses">> := Licenses, <<"links">> := Links} = Meta,
    true = is_list(Licenses) andalso is_map(Links),
    io:format("package ~s ~ts~s~n", [Name, Description, [[" ", V] || #{<<"version">> := V} <- Releases]]),
    {ok, {200, _, #{<<"version">> := Number, <<"checksum">> := Checksum, <<"requirements">> := Requirements,
                    <<"retirement">> := _}}} = r3_hex_api_release:get(Config, Name, Number),
    true = is_map(Requirements),
    io:format("release ~s ~s~n", [Number, Checksum]),
    {ok, {200, _, Found}} = r3_hex_api_package:search(Config, list_to_binary(Word), []),
    [true = is_map(Downloads) || #{<<"downloads">> := Downloads, <<"html_url">> := _} <- Found],
    io:format("found~s~n", [[[" ", N] || #{<<"name">> := N} <- Found]]),
    Status = list_to_integer(Missing),
    {ok, {Status, _, #{<<"message">> := _}}} = r3_hex_api_package:get(Config, <<"no_such_package">>),
    ok;
main(_) ->
    io:format(standard_error, "usage: mirrored_api.escript REBAR3 API_URL PACKAGE VERSION WORD MISSING~n", []),
    halt(2).

load_reference_library(Rebar3) ->
    {ok, Sections} = escript:extract(Rebar3, []),
    Wanted = fun(#zip_file{name = Name}) -> string:prefix(filename:basename(Name), "r3_") =/= nomatch;
                (_) -> false end,
    {ok, Files} = zip:extract(proplists:get_value(archive, Sections), [memory, {file_filter, Wanted}]),
    [{module, _} = code:load_binary(list_to_atom(filename:basename(Name, ".beam")), Name, Beam)
     || {Name, Beam} <- Files, filename:extension(Name) =:= ".beam"],
    {module, r3_hex_api_package} = code:ensure_loaded(r3_hex_api_package),
    ok.
