defmodule LeaderboardTest do
  use ExUnit.Case

  # Each test begins with empty tables.
  setup do
    on_exit(fn ->
      Supervisor.terminate_child(Leaderboard.Supervisor, Leaderboard)

      for table <- [Leaderboard.Points, Leaderboard.Ranks] do
        {:ok, ^table} = Blanket.Table.claim(table)
        Blanket.Table.delete(table)
      end

      {:ok, _pid} = Supervisor.restart_child(Leaderboard.Supervisor, Leaderboard)
    end)
  end

  test "shows who is where" do
    assert Leaderboard.top(3) == []

    for {player, points} <- [{"Ada", 10}, {"Grace", 30}, {"Joan", 20}, {"Mary", 20}],
        do: Leaderboard.add(player, points)

    assert Leaderboard.top(3) == [{"Grace", 30}, {"Joan", 20}, {"Mary", 20}]
    assert Leaderboard.between(10, 20) == [{"Joan", 20}, {"Mary", 20}, {"Ada", 10}]
    assert Leaderboard.between(11, 19) == []
    assert Enum.map(["Grace", "Mary", "Ada", "Nobody"], &Leaderboard.rank/1) == [1, 3, 4, nil]

    assert Leaderboard.add("Ada", 25) == 35
    assert Leaderboard.add("Grace", -25) == 5
    assert Leaderboard.add("Joan", 0) == 20
    assert Leaderboard.top(9) == [{"Ada", 35}, {"Joan", 20}, {"Mary", 20}, {"Grace", 5}]
  end

  test "is right when its owner is killed between two writes" do
    Leaderboard.add("Ada", 10)

    # What an owner has done that is killed after the first of them.
    :sys.replace_state(Leaderboard, fn state ->
      Blanket.Table.update_counter(Leaderboard.Points, "Ada", 5)
      state
    end)

    kill_owner()
    assert Leaderboard.top(9) == [{"Ada", 15}]
    assert Leaderboard.add("Ada", 1) == 16
  end

  test "loses no points that were acknowledged, though the owner is killed" do
    players =
      for player <- ["Ada", "Grace", "Joan"],
          do: Task.async(fn -> {player, play(player, 500, 0)} end)

    for _ <- 1..2, do: kill_owner()
    played = Task.await_many(players, :infinity)
    points = Map.new(Leaderboard.top(9))
    for {player, unsure} <- played, do: assert(points[player] in 500..(500 + unsure))
  end

  # Until so many points are acknowledged. Answers how many more may have been counted: those of calls during
  # which the owner was killed.
  defp play(_player, 0, unsure), do: unsure

  defp play(player, left, unsure) do
    Leaderboard.add(player, 1)
  catch
    :exit, {:noproc, _} -> play(player, left, unsure)
    :exit, _ -> play(player, left, unsure + 1)
  else
    _sum -> play(player, left - 1, unsure)
  end

  defp kill_owner do
    owner = Process.whereis(Leaderboard)
    Process.exit(owner, :kill)
    await_next(owner)
  end

  # Until its init/1 is through.
  defp await_next(owner) do
    case Process.whereis(Leaderboard) do
      next when next in [nil, owner] -> await_next(owner)
      next -> :sys.get_state(next)
    end
  end
end
