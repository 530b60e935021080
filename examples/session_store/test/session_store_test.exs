defmodule SessionStoreTest do
  use ExUnit.Case

  setup_all do
    %{url: "http://127.0.0.1:#{SessionStore.Web.port()}/sessions"}
  end

  defp request(method, url, body \\ "") do
    request = if method == :post, do: {url, [], ~c"text/plain", body}, else: {url, []}

    {:ok, {{_version, code, _reason}, _headers, body}} =
      :httpc.request(method, request, [], body_format: :binary)

    {code, body}
  end

  test "creates, shows and deletes sessions", %{url: url} do
    assert {201, id} = request(:post, url, "Ada")
    assert request(:get, "#{url}/#{id}") == {200, "Ada"}
    assert {204, ""} = request(:delete, "#{url}/#{id}")
    assert {404, _} = request(:get, "#{url}/#{id}")
  end

  test "has every session that it answered, though it is killed under the requests", %{url: url} do
    clients = for client <- 1..4, do: Task.async(fn -> create(url, "user #{client}", 50, []) end)

    kills = kill_until_done(clients, 0)
    created = clients |> Task.await_many(:infinity) |> Enum.concat()

    assert kills > 0
    assert length(created) == 200
    for {id, user} <- created, do: assert(request(:get, "#{url}/#{id}") == {200, user})
  end

  # Asks until so many sessions were acknowledged.
  defp create(_url, _user, 0, created), do: created

  defp create(url, user, count, created) do
    case request(:post, url, user) do
      {201, id} -> create(url, user, count - 1, [{id, user} | created])
      {503, _} -> create(url, user, count, created)
    end
  end

  # Each owner is killed once it has received its table; 100 times at most.
  defp kill_until_done(clients, kills) do
    owner = Process.whereis(SessionStore)

    cond do
      kills == 100 or not Enum.any?(clients, &Process.alive?(&1.pid)) ->
        kills

      owner && Blanket.Table.info(SessionStore, :owner) == owner ->
        Process.exit(owner, :kill)
        kill_until_done(clients, kills + 1)

      true ->
        Process.sleep(1)
        kill_until_done(clients, kills)
    end
  end
end
